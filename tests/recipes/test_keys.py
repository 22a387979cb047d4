from recipes.keys import key_of, library_versions


def test_keys_follow_content_and_not_order() -> None:
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert len({key_of({"a": i}) for i in range(100)}) == 100


def test_every_library_that_results_depend_on_is_named() -> None:
    assert {"lightsharp", "torch", "torchao", "torch-pruning", "numpy"} <= set(library_versions())
