"""Writes what an image is made of, as CycloneDX: each Python package and each of Debian's, with version and licence.

`python3 bill_of_materials.py PACKAGES DEBIAN ARCHITECTURE` with the folder of Python packages and the folder of control
files that debian_root.sh leaves. It reads what is there after everything that is not needed has been taken out. The
same packages give the same bytes: it holds neither a time nor a random number.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def of_python(folder: Path) -> Iterator[Component]:
    """Yield the packages that are installed in a folder."""
    for distribution in distributions(path=[str(folder)]):
        name = distribution.metadata["Name"].lower().replace("_", "-")
        purl = PackageURL("pypi", None, name, distribution.version)
        yield Component(
            name=name,
            version=distribution.version,
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=purl.to_string(),
            licenses=_licence(distribution),
        )


def of_debian(folder: Path, architecture: str) -> Iterator[Component]:
    """Yield the packages whose control files lie in a folder; their licences stand in /usr/share/doc of the image."""
    for file in folder.iterdir():
        control = HeaderParser().parsestr(file.read_text())
        purl = PackageURL("deb", "debian", control["Package"], control["Version"], {"arch": architecture})
        yield Component(
            name=control["Package"],
            version=control["Version"],
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=purl.to_string(),
        )


def bill(components: Iterator[Component]) -> str:
    """Return the document; ValueError if it is not as its schema asks."""
    found = sorted(components, key=lambda component: str(component.bom_ref.value))
    serial = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(str(component.bom_ref.value) for component in found))
    document = Bom(components=found, serial_number=serial, metadata=BomMetaData())
    document.metadata.timestamp = None  # type: ignore[assignment]  # optional in the schema
    text: str = JsonV1Dot6(document).output_as_string(indent=1)
    flaw = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if flaw is not None:
        raise ValueError(f"the bill of materials is not as CycloneDX has it: {flaw}")
    return text


def _licence(distribution: Distribution) -> list[License]:
    expression = distribution.metadata.get("License-Expression")
    plain = distribution.metadata.get("License") or ""
    text = expression or plain
    if not text or len(text) > 64 or "\n" in text:
        return []  # Some packages put the whole licence there: it lies beside their metadata in the image.
    return [LicenseFactory().make_from_string(text)]


def main() -> None:
    """Write the document of an image to standard output."""
    python, debian, architecture = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

    def all_components() -> Iterator[Component]:
        yield from of_python(python)
        yield from of_debian(debian, architecture)

    sys.stdout.write(bill(all_components()) + "\n")


if __name__ == "__main__":
    main()
