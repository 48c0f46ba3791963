"""Makes HTML of what is known. Everything is escaped: names and messages are users' text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modeldeployment_operator.core.fleet import Model, location, row, since, time_of, traffic
from modeldeployment_operator.core.freshness import Freshness
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.overview import Query, overview, scale_of

_FOLDER: Final = Path(__file__).parents[1] / "templates"

_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "exact": lambda time: f"{time:%Y-%m-%d %H:%M:%S}",
    "location": location,
    "percent": lambda share: f"{share:.0%}",
    "time": time_of,
}


class Templates:
    """Reads the templates once. Links are relative, so that the page works behind a proxy's path too."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(_FILTERS)
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def fleet(self, models: list[Model], query: Query, freshness: Freshness) -> tuple[HTTPStatus, str]:
        """Return the page of all models."""
        view = overview([row(model) for model in models], query)
        return HTTPStatus.OK, self._render("fleet.html", "", freshness, view=view)

    def model(self, models: list[Model], key: Key, freshness: Freshness) -> tuple[HTTPStatus, str]:
        """Return the page of one model, or one that says that there is none."""
        model = next((model for model in models if model.key == key), None)
        if model is None:
            what = f"There is no ModelDeployment {key}, or not any more."
            return HTTPStatus.NOT_FOUND, self._render("missing.html", "../../", freshness, what=what)
        told, status = row(model), model.status
        html = self._render(
            "model.html",
            "../../",
            freshness,
            row=told,
            status=status,
            shares=traffic(status),
            scale=scale_of([told.quality]),
        )
        return HTTPStatus.OK, html

    def _render(self, template: str, root: str, freshness: Freshness, **values: Any) -> str:
        def ago(time: datetime) -> str:
            return since(time, freshness.now)

        return self._environment.get_template(template).render(root=root, touch=freshness, ago=ago, **values)
