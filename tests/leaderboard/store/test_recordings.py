"""What runs recorded in detail is read where it is needed, and not before."""

from leaderboard.store.recordings import Place, Recordings


def test_which_configurations_recorded_diagnostics_is_known_without_reading_any():
    def read():
        raise AssertionError("the database was opened")

    def place(config_id: str, diagnosed: bool) -> Place:
        return Place(1, "", (config_id, "Pong", 0, "e"), "d", diagnosed)

    found = Recordings(read, {"a": [place("a", True), place("a", False)], "b": [place("b", False)], "c": []})
    assert [name in found for name in "abcd"] == [True, False, False, False]
    assert (list(found), len(found), found.get("b")) == (["a"], 1, None)
