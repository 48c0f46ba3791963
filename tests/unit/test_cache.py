"""The cache: whatever the order of watches, lists and answers, the latest counts."""

from __future__ import annotations

from typing import Any

from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE, Kind
from modeldeployment_operator.core.observation import Key

KEY = Key("team", "m")


def an_object(version: int = 1, uid: str = "u", name: str = "m", **metadata: Any) -> dict[str, Any]:
    known = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {"metadata": known | metadata, "spec": {"replicas": version}, "status": {}}


def a_child(version: int = 1, uid: str = "c", name: str = "m-1", owner: str = "u") -> dict[str, Any]:
    owners = [{"uid": owner, "controller": True}]
    return an_object(version, uid, name, labels=names.common_labels("m"), ownerReferences=owners)


def versions(cache: Cache) -> dict[str, int]:
    return {child.name: child.version for child in cache.children(KEY)}


def listed(cache: Cache, kind: Kind, namespace: str | None, bodies: list[dict[str, Any]], version: int) -> set[Key]:
    """Hold the cache against a list."""
    touched = {cache.put(kind, body) for body in bodies}
    touched |= cache.keep(kind, namespace, {body["metadata"]["uid"] for body in bodies}, version)
    return {key for key in touched if key is not None}


def test_an_object_is_trimmed_to_what_is_read() -> None:
    cache = Cache()
    annotations = {"modelops.dev/retry": "1", "kubectl.kubernetes.io/last-applied-configuration": "{…}"}

    assert cache.put(MODEL_DEPLOYMENT, an_object(annotations=annotations, managedFields=[{}])) == KEY
    known = cache.get(KEY)
    assert known is not None
    assert (known.uid, known.version, known.generation, known.going, known.asked.retry) == ("u", 1, 1, False, "1")
    assert cache.known() == [KEY]


def test_what_is_older_or_known_is_no_news() -> None:
    cache = Cache()
    cache.put(MODEL_DEPLOYMENT, an_object(3))
    cache.put(DEPLOYMENT, a_child(3))

    for version in (2, 3):
        assert cache.put(MODEL_DEPLOYMENT, an_object(version)) is None
        assert cache.put(DEPLOYMENT, a_child(version)) is None
    assert cache.put(MODEL_DEPLOYMENT, an_object(10)) == KEY, "versions are numbers"
    assert cache.put(DEPLOYMENT, a_child(10)) == KEY
    assert versions(cache) == {"m-1": 10}


def test_what_nobody_looks_at_is_no_news() -> None:
    cache = Cache()
    cache.put(SERVICE, a_child(1))

    assert cache.put(SERVICE, a_child(2)) is None, "of a Service that clients do not call nothing is read"
    assert versions(cache) == {"m-1": 2}


def test_children_of_one_name_and_two_kinds_are_two() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, a_child())
    cache.put(SERVICE, a_child())

    assert len(cache.children(KEY)) == 2
    assert cache.child(KEY, SERVICE, "m-1") is not None
    assert cache.child(KEY, SERVICE, "m-2") is None


def test_objects_of_others_are_not_kept() -> None:
    cache = Cache()

    assert cache.put(SERVICE, an_object()) is None
    assert cache.children(KEY) == []


def test_children_of_a_former_object_of_the_same_name_are_told_apart() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, a_child(owner="old"))
    cache.put(DEPLOYMENT, a_child(uid="c2", name="m-2", owner="new"))

    assert [child.name for child in cache.children(KEY, "new")] == ["m-2"]
    assert len(cache.children(KEY)) == 2


def test_what_is_deleted_is_gone_and_does_not_come_back_late() -> None:
    cache = Cache()
    cache.put(MODEL_DEPLOYMENT, an_object())
    cache.put(DEPLOYMENT, a_child())

    assert cache.remove(DEPLOYMENT, a_child(2)) == KEY
    assert cache.remove(MODEL_DEPLOYMENT, an_object(2)) == KEY
    assert cache.put(DEPLOYMENT, a_child(2)) is None
    assert cache.put(MODEL_DEPLOYMENT, an_object(2)) is None
    assert (cache.known(), cache.children(KEY)) == ([], [])
    assert cache.remove(DEPLOYMENT, a_child(3)) is None, "once is enough"


def test_a_late_deletion_of_a_former_object_does_not_take_its_successor() -> None:
    cache = Cache()
    cache.put(MODEL_DEPLOYMENT, an_object(5, uid="new"))
    cache.put(DEPLOYMENT, a_child(6, uid="new-child"))

    assert cache.remove(MODEL_DEPLOYMENT, an_object(4, uid="old")) is None
    assert cache.remove(DEPLOYMENT, a_child(4, uid="old-child")) is None
    assert cache.known() == [KEY]
    assert versions(cache) == {"m-1": 6}


def test_a_child_whose_label_was_taken_and_given_back_is_known_again() -> None:
    """A watch by label tells of the first as of a deletion; the object lives on, and its version grows."""
    cache = Cache()
    cache.put(DEPLOYMENT, a_child(1))
    cache.remove(DEPLOYMENT, a_child(2))

    assert cache.put(DEPLOYMENT, a_child(3)) == KEY
    assert versions(cache) == {"m-1": 3}


def test_a_list_removes_what_is_gone_and_leaves_what_is_newer() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, a_child(1, uid="gone", name="gone"))
    cache.put(DEPLOYMENT, a_child(2, uid="kept", name="kept"))
    cache.put(DEPLOYMENT, a_child(9, uid="newer", name="newer"))
    cache.put(SERVICE, a_child(1, uid="service", name="service"))

    assert listed(cache, DEPLOYMENT, None, [a_child(3, uid="kept", name="kept")], 5) == {KEY}
    assert versions(cache) == {"kept": 3, "newer": 9, "service": 1}


def test_a_list_with_nothing_new_wakes_nobody() -> None:
    cache = Cache()
    cache.put(MODEL_DEPLOYMENT, an_object())

    assert listed(cache, MODEL_DEPLOYMENT, None, [an_object()], 5) == set()
    assert listed(cache, MODEL_DEPLOYMENT, "other", [], 5) == set()
    assert listed(cache, MODEL_DEPLOYMENT, "team", [], 5) == {KEY}
    assert cache.known() == []


def test_a_list_of_one_namespace_says_nothing_of_others() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, a_child())

    assert listed(cache, DEPLOYMENT, "other", [], 5) == set()
    assert listed(cache, DEPLOYMENT, "team", [], 5) == {KEY}
    assert cache.children(KEY) == []


def test_it_tells_how_many_it_knows_of_each_kind() -> None:
    cache = Cache()
    cache.put(MODEL_DEPLOYMENT, an_object())
    cache.put(DEPLOYMENT, a_child(1, uid="a", name="a"))
    cache.put(DEPLOYMENT, a_child(2, uid="a", name="a"))
    cache.put(DEPLOYMENT, a_child(1, uid="b", name="b"))
    cache.put(SERVICE, a_child(1, uid="s"))
    assert [cache.size(kind) for kind in (MODEL_DEPLOYMENT, DEPLOYMENT, SERVICE)] == [1, 2, 1]

    cache.remove(DEPLOYMENT, a_child(3, uid="a", name="a"))
    cache.keep(SERVICE, None, ())
    cache.remove(SERVICE, a_child(9, uid="s"))
    assert [cache.size(kind) for kind in (MODEL_DEPLOYMENT, DEPLOYMENT, SERVICE)] == [1, 1, 0]
