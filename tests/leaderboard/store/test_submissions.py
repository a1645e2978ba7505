import hashlib
import json
import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from leaderboard.site.render import build
from leaderboard.store import database, intake, models
from leaderboard.store.database import NewSubmission, ResultStore, prepared
from leaderboard.store.ingest import ingest
from leaderboard.store.rows import new_run
from suite.errors import BadData, UsageError
from suite.records import claims, record
from suite.records.verified import content_of, write_verified
from suite.tasks import load_task
from tests.support import honest

RUNS = honest.honest_runs("smoke")
ATTEST = """\
bundle_sha256 = "{sha256}"
by = "A. Maintainer"
date = "{date}"
evidence = "https://example.org/log"
"""
FLAG = """
[[flags]]
code = "{code}"
reason = "The authors found a defect."
by = "A. Maintainer"
date = "{date}"
"""


def shifted(runs, by=1.0):
    """The same cells with other returns: honest results that contradict these."""
    return [
        honest.with_score(
            run, episodes=tuple(row.model_copy(update={"value": min(row.value + by, 21.0)}) for row in run.episodes)
        )
        for run in runs
    ]


@pytest.fixture(scope="module")
def honest_bundle():
    return honest.bundle(RUNS)


@pytest.fixture(scope="module")
def other_bundle():
    return honest.bundle(shifted(RUNS))


@pytest.fixture
def db(tmp_path):
    return tmp_path / "results.sqlite"


def place(root, slug, content, *, level=None, date="2026-03-01", flag=None):
    """Lay a bundle into a results repository, attested if there is a level or a flag."""
    folder = root / "submissions" / slug
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bundle.zip").write_bytes(content)
    if level or flag:
        text = ATTEST.format(sha256=hashlib.sha256(content).hexdigest(), date=date)
        text += f'level = "{level}"\n' if level else ""
        (folder / "attest.toml").write_text(text + (FLAG.format(code=flag, date=date) if flag else ""))
    return folder / "bundle.zip"


def add(db, *paths):
    lines = []
    report = ingest(paths, db, references=False, progress=lines.append)
    return report, lines


def read(db):
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        return snapshot


def test_what_is_stored_of_a_submission(tmp_path, db, honest_bundle):
    place(tmp_path, "two-games", honest_bundle)
    report, lines = add(db, tmp_path)
    assert (report.submissions, report.outcomes, report.damaged, lines) == ({"new": 1}, {"new": 4}, (), [])
    snapshot = read(db)
    (stored,) = snapshot.submissions()
    assert (stored.slug, stored.title, stored.license) == ("two-games", "Two games, two seeds", "CC0-1.0")
    assert (stored.level, stored.flags, stored.current, stored.retracted) == ("recomputed", (), True, False)
    assert stored.sha256 == hashlib.sha256(honest_bundle).hexdigest()
    assert [author["name"] for author in stored.authors] == ["Ada Example"]
    assert stored.links == (("code", "https://example.org/code"),)
    assert stored.submitted_at == "2026-01-01T01:00:00Z"
    assert stored.report["level"] == "recomputed"
    assert stored.statement["known_issues"] == ["It is a test."]
    assert "contact" not in stored.statement
    assert stored.environment["environments"]
    assert "agent/dqn" in stored.cards
    assert len(stored.runs) == 4
    assert all(run.current for run in stored.runs)
    runs = snapshot.runs("smoke@1")
    assert [(run.game, run.seed) for run in runs] == [("Breakout", 0), ("Breakout", 1), ("Pong", 0), ("Pong", 1)]
    for run in runs:
        assert (run.level, run.submission, run.submissions) == ("recomputed", "two-games", ("two-games",))
        source = next(one for one in RUNS if (one.cell.game, one.cell.seed) == (run.game, run.seed))
        details = snapshot.details(run)
        assert details.episodes == tuple((row.frame, row.length, row.value, row.end) for row in source.episodes)
        assert details.checkpoints[0][3:] == (source.checkpoints[0].learner, source.checkpoints[0].history)
        assert run.provenance["command"] == ["run"]
        assert (run.updates, run.started_at) == (100, "2026-01-01T00:00:00Z")
        assert run.wall_seconds == pytest.approx(16_000 / 300)
    again, lines = add(db, tmp_path)
    assert (again.submissions, again.outcomes, lines) == ({"known": 1}, {}, [])
    assert again.digest == report.digest


def test_diagnostics_are_thinned_as_in_the_bundle(tmp_path, db, honest_bundle):
    directory = honest.write_run(RUNS[0], tmp_path / "runs")
    bundle = place(tmp_path, "two-games", honest_bundle)
    add(db, directory)
    add(tmp_path / "other.sqlite", bundle)
    found = [read(path).diagnostics("smoke@1") for path in (db, tmp_path / "other.sqlite")]
    config_id = RUNS[0].cell.config_id
    assert list(found[0]) == list(found[1]) == [config_id]
    assert found[0][config_id][0] in found[1][config_id]
    assert add(tmp_path / "other.sqlite", directory)[0].digest == add(db, bundle)[0].digest
    loss = found[0][config_id][0].series["loss"]
    assert len(loss.frames) == len(loss.values) <= 200
    assert loss.values[-1] == RUNS[0].diagnostics[-1].values["loss"]


def test_a_refused_bundle_is_named_and_the_others_are_stored(tmp_path, db, honest_bundle):
    bad = place(tmp_path, "bad", honest_bundle[:-1])
    badly_named = place(tmp_path, "Not_A_Slug", honest_bundle)
    place(tmp_path, "good", honest_bundle)
    report, lines = add(db, tmp_path)
    assert report.damaged == (str(badly_named), str(bad))
    assert report.submissions == {"new": 1}
    assert any(line.startswith(f"refused: {bad}: bundle: ") and "[archive." in line for line in lines)
    assert any(line.startswith(f"refused: {badly_named}: a submission's folder cannot be called") for line in lines)
    assert [item.slug for item in read(db).submissions()] == ["good"]


def test_a_link_is_no_bundle(tmp_path, db, honest_bundle):
    real = place(tmp_path, "good", honest_bundle)
    (tmp_path / "submissions" / "linked").mkdir()
    (tmp_path / "submissions" / "linked" / "bundle.zip").symlink_to(real)
    report, _ = add(db, tmp_path)
    assert report.damaged == (str(tmp_path / "submissions" / "linked" / "bundle.zip"),)


def test_what_is_no_bundle_among_submissions(tmp_path, db, honest_bundle):
    place(tmp_path, "good", honest_bundle)
    foreign = honest.write_run(shifted(RUNS[:1])[0], tmp_path / "submissions" / "good")
    large = place(tmp_path, "large", b"")
    os.truncate(large, 20_000_001)
    (tmp_path / "submissions" / "pipe").mkdir()
    os.mkfifo(tmp_path / "submissions" / "pipe" / "bundle.zip")
    report, lines = add(db, tmp_path)
    assert report.outcomes == {"new": 4}
    assert report.damaged == (str(large), str(tmp_path / "submissions" / "pipe" / "bundle.zip"))
    assert lines[0] == f"ignored: {foreign}: submissions are bundles, not run directories"
    assert "20,000,001 bytes" in lines[1]
    assert "is no plain file" in lines[2]


def test_a_lone_bundle_has_a_slug_of_its_hash_until_it_lies_in_a_repository(tmp_path, db, honest_bundle):
    lone = tmp_path / "mine.zip"
    lone.write_bytes(honest_bundle)
    report, _ = add(db, lone)
    sha256 = hashlib.sha256(honest_bundle).hexdigest()
    assert [item.slug for item in read(db).submissions()] == [f"bundle-{sha256[:12]}"]
    report, _ = add(db, place(tmp_path, "two-games", honest_bundle))
    assert report.submissions == {"updated": 1}
    assert [item.slug for item in read(db).submissions()] == ["two-games"]
    assert add(tmp_path / "other.sqlite", tmp_path)[0].digest == report.digest
    assert add(tmp_path / "third.sqlite", tmp_path, lone)[0].digest == report.digest


def test_a_run_directory_and_a_bundle_of_it_are_one_run(tmp_path, db, honest_bundle):
    directory = honest.write_run(RUNS[0], tmp_path / "runs")
    bundle = place(tmp_path, "two-games", honest_bundle)
    first, _ = add(db, directory)
    second, lines = add(db, bundle)
    assert (first.outcomes, second.outcomes, lines) == ({"new": 1}, {"known": 1, "new": 3}, [])
    runs = read(db).runs("smoke@1")
    assert len(runs) == 4
    assert {run.submission for run in runs} == {"two-games"}
    other = tmp_path / "other.sqlite"
    add(other, bundle)
    assert add(other, directory)[0].digest == second.digest
    assert add(tmp_path / "third.sqlite", bundle)[0].digest != second.digest


def test_two_submissions_of_one_run_share_it(tmp_path, db, honest_bundle):
    one, two = place(tmp_path, "one", honest_bundle), honest.bundle(RUNS, honest.TOML.replace(b"Two games", b"Again"))
    report, lines = add(db, one, place(tmp_path, "two", two, level="replayed"))
    assert (report.outcomes, report.conflicts, lines) == ({"new": 4, "known": 4}, (), [])
    for run in read(db).runs("smoke@1"):
        assert run.submissions == ("two", "one")  # the attested one first
        assert run.level == "replayed"


def test_a_bundle_is_opened_read_and_scored_once(tmp_path, db, honest_bundle, monkeypatch):
    from leaderboard.bundles import archive, bundle
    from leaderboard.bundles import check as checker

    counts = Counter()

    def counted(module, name):
        original = getattr(module, name)

        def count(*arguments, **rest):
            counts[name] += 1
            return original(*arguments, **rest)

        monkeypatch.setattr(module, name, count)

    counted(checker, "Archive")
    counted(archive, "open_archive")
    counted(bundle, "from_document")
    counted(claims, "check")
    counted(claims, "score_of")
    counted(claims, "digest")
    place(tmp_path, "mine", honest_bundle)
    assert add(db, tmp_path)[0].submissions == {"new": 1}
    assert counts == {"Archive": 1, "from_document": 4, "check": 4, "score_of": 4, "digest": 4}
    assert add(db, tmp_path)[0].submissions == {"known": 1}
    assert counts["Archive"] == 1


EARLIER = {"agent_step": 1000, "frame": 4000, "updates": 50, "learner": "01234567" * 8, "history": "89abcdef" * 8}


def test_a_bundle_does_not_change_what_another_shows_of_the_same_run(tmp_path, db, honest_bundle):
    """The run is the same, what it recorded beside its episodes is made up, and more of it."""
    made_up = [
        replace(
            run,
            checkpoints=(run.checkpoints[0].model_copy(update=EARLIER), run.checkpoints[0]),
        )
        for run in RUNS
    ]
    add(db, place(tmp_path, "honest", honest_bundle, level="replayed"))
    add(db, place(tmp_path, "copied", honest.bundle(made_up)))
    snapshot = read(db)
    for run in snapshot.runs("smoke@1"):
        assert run.submissions == ("honest", "copied")
        assert len(snapshot.details(run).checkpoints) == 1
    assert add(tmp_path / "other.sqlite", tmp_path)[0].digest == snapshot.digest()
    add(db, place(tmp_path, "honest", honest_bundle, date="2026-09-09", flag="retracted"))
    later = read(db)
    assert all(len(later.details(run).checkpoints) == 2 for run in later.runs("smoke@1"))


def test_what_is_proven_further_stands_whenever_it_was_attested_and_the_conflict_is_told(
    tmp_path, db, honest_bundle, other_bundle
):
    early = place(tmp_path, "early", other_bundle, level="replayed", date="2026-03-01")
    late = place(tmp_path, "late", honest_bundle, level="rerun", date="2026-03-02")
    add(db, early)
    report, lines = add(db, late)
    assert report.outcomes == {"updated": 4}
    assert {run.submission for run in read(db).runs("smoke@1")} == {"late"}
    assert [(one.stands.slugs, one.stands.level) for one in report.conflicts] == [(("late",), "rerun")] * 4
    assert [other.slugs for one in report.conflicts for other in one.others] == [("early",)] * 4
    assert sum("conflict" in line and "late (" in line and "rerun) stands" in line for line in lines) == 4
    assert [run.current for item in read(db).submissions() for run in item.runs] == [False] * 4 + [True] * 4
    assert add(tmp_path / "other.sqlite", tmp_path)[0].digest == report.digest


def arrive(root, *slugs):
    """Write down in which order the history of the results repository has its bundles."""
    (root / "arrivals.txt").write_text("".join(f"submissions/{slug}/bundle.zip\n" for slug in slugs))


@pytest.mark.parametrize("level", [None, "replayed", "rerun"])
def test_among_equals_what_arrived_first_stands_whatever_dates_say(tmp_path, db, honest_bundle, other_bundle, level):
    for first, second in (("b", "a"), ("a", "b")):
        root = tmp_path / f"{first}{second}"
        place(root, "a", honest_bundle, level=level, date="2026-03-02")
        place(root, "b", other_bundle, level=level, date="2026-03-01")
        arrive(root, first, second)
        report, _ = add(root / "results.sqlite", root)
        assert {run.submission for run in read(root / "results.sqlite").runs("smoke@1")} == {first}
        again, _ = add(root / "other.sqlite", *sorted((root / "submissions").glob("*/bundle.zip"), reverse=True))
        assert again.digest == report.digest
        assert [item.arrived for item in read(root / "results.sqlite").submissions()] == [
            (first, second).index(slug) for slug in ("a", "b")
        ]


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00Z", "1999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_no_date_that_a_bundle_says_of_itself_decides(tmp_path, honest_bundle, date):
    dated = [
        replace(
            run,
            status=run.status.model_copy(update={"updated_at": date, "started_at": date}),
            provenance=run.provenance.model_copy(
                update={"attempts": (run.attempt.model_copy(update={"started_at": date}),)}
            ),
        )
        for run in shifted(RUNS)
    ]
    place(tmp_path, "honest", honest_bundle)
    place(tmp_path, "dated", honest.bundle(dated))
    for order in (("honest", "dated"), ("dated", "honest")):
        arrive(tmp_path, *order)
        db = tmp_path / f"{order[0]}.sqlite"
        add(db, tmp_path)
        assert {run.submission for run in read(db).runs("smoke@1")} == {order[0]}
    found = next(item for item in read(db).submissions() if item.slug == "dated").report["findings"]
    assert {one["severity"] for one in found if one["code"] == "provenance.dates"} == {"review"}


def test_a_sample_stands_behind_a_larger_one_and_behind_everything_replayed(tmp_path, db, honest_bundle, other_bundle):
    third = honest.bundle(shifted(RUNS, 2.0))
    place(tmp_path, "small", honest_bundle, level="sampled 1 of 4")
    place(tmp_path, "large", other_bundle, level="sampled 3 of 4")
    arrive(tmp_path, "small", "large", "whole")
    add(db, tmp_path)
    assert {(run.submission, run.level) for run in read(db).runs("smoke@1")} == {("large", "sampled 3 of 4")}
    place(tmp_path, "whole", third, level="replayed")
    add(db, tmp_path)
    assert {(run.submission, run.level) for run in read(db).runs("smoke@1")} == {("whole", "replayed")}


def test_an_unattested_result_never_takes_the_place_of_an_attested_one(tmp_path, db, honest_bundle, other_bundle):
    """Whatever arrived first: it is the submitter's word."""
    first = place(tmp_path, "attested", honest_bundle, level="replayed", date="2026-12-31")
    second = place(tmp_path, "arrived-first", other_bundle)
    arrive(tmp_path, "arrived-first", "attested")
    add(db, first, second)
    assert {run.submission for run in read(db).runs("smoke@1")} == {"attested"}


def test_ones_own_run_loses_to_no_bundle_that_is_not_proven_further(tmp_path, db, honest_bundle):
    mine = honest.write_run(shifted(RUNS[:1])[0], tmp_path / "runs")
    add(db, mine)
    report, _ = add(db, place(tmp_path, "two-games", honest_bundle, level="sampled 3 of 4"))
    assert report.outcomes == {"new": 3, "skipped": 1}
    assert [(one.stands.slugs, one.others[0].slugs) for one in report.conflicts] == [((), ("two-games",))]
    assert sorted(run.submission or "mine" for run in read(db).runs("smoke@1")) == ["mine"] + ["two-games"] * 3
    add(db, place(tmp_path, "two-games", honest_bundle, level="replayed", date="2026-03-02"))
    assert {run.submission for run in read(db).runs("smoke@1")} == {"two-games"}
    write_verified(mine, content_of(mine), 1, 1)
    again, _ = add(db, mine)
    found = {run.submission: run.level for run in read(db).runs("smoke@1")}
    assert found == {None: "replayed", "two-games": "replayed"}
    assert add(tmp_path / "other.sqlite", tmp_path)[0].digest == again.digest


def test_a_run_directory_counts_as_replayed_only_as_it_was_replayed(tmp_path, db):
    mine = honest.write_run(RUNS[0], tmp_path / "runs")
    write_verified(mine, content_of(mine), 1, 1)
    with (mine / "actions.jsonl").open("a") as log:
        log.write("{}\n")
    report, _ = add(db, mine)
    assert (report.unproven, [run.level for run in read(db).runs("smoke@1")]) == (1, ["recomputed"])


def test_what_was_drawn_and_trained_again_stands_with_the_run(tmp_path, db, honest_bundle):
    bundle = place(tmp_path, "one", honest_bundle, level="replayed")
    rerun = f"""
[[reruns]]
config_id = "{RUNS[0].cell.config_id}"
game = "{RUNS[0].cell.game}"
seed = {RUNS[0].cell.seed}
agent_step = 1000
by = "A. Maintainer"
date = "2026-03-03"
"""
    with (bundle.parent / "attest.toml").open("a") as file:
        file.write(rerun)
    add(db, tmp_path)
    found = {(run.game, run.seed): [one.agent_step for one in run.reruns] for run in read(db).runs("smoke@1")}
    assert found == {(run.cell.game, run.cell.seed): [1000] if run is RUNS[0] else [] for run in RUNS}
    assert read(db).submissions()[0].reruns[0].by == "A. Maintainer"


def test_a_retraction_is_recorded_and_its_results_no_longer_count(tmp_path, db, honest_bundle, other_bundle):
    first = place(tmp_path, "first", honest_bundle, level="replayed")
    add(db, first)
    add(db, place(tmp_path, "second", other_bundle))
    place(tmp_path, "first", honest_bundle, date="2026-04-01", flag="retracted")
    report, _ = add(db, first)
    assert report.submissions == {"updated": 1}
    snapshot = read(db)
    stored = snapshot.submissions()[0]
    assert stored.retracted
    assert (stored.flags[0].code, stored.flags[0].reason) == ("retracted", "The authors found a defect.")
    assert stored.level == "recomputed"
    assert {run.submission for run in snapshot.runs("smoke@1")} == {"second"}
    assert snapshot.conflicts() == []
    place(tmp_path, "second", other_bundle, flag="retracted")
    add(db, tmp_path)
    assert read(db).runs("smoke@1") == []
    assert len(read(db).submissions()) == 2


def test_what_is_retracted_before_it_comes_in_is_kept_and_does_not_count(tmp_path, db, honest_bundle):
    report, lines = add(db, place(tmp_path, "one", honest_bundle, flag="retracted"))
    assert (report.submissions, report.outcomes) == ({"new": 1}, {"skipped": 4})
    assert "its submission is retracted" in lines[0]
    assert read(db).runs("smoke@1") == []
    assert [run.score is not None for run in read(db).submissions()[0].runs] == [True] * 4


def test_a_retracted_result_of_ones_own_still_counts(tmp_path, db, honest_bundle):
    add(db, honest.write_run(RUNS[0], tmp_path / "runs"))
    add(db, place(tmp_path, "two-games", honest_bundle, flag="retracted"))
    assert [(run.level, run.submission) for run in read(db).runs("smoke@1")] == [("recomputed", None)]


def test_an_attestation_of_another_bundle_is_refused(tmp_path, db, honest_bundle, other_bundle):
    path = place(tmp_path, "one", honest_bundle, level="replayed")
    path.write_bytes(other_bundle)
    report, lines = add(db, path)
    assert report.damaged == (str(path),)
    assert "attests another bundle" in lines[0]
    assert read(db).submissions() == []


def test_a_newer_bundle_of_a_slug_takes_the_place_of_the_older_which_stays(tmp_path, db, honest_bundle):
    """The history says which is newer: its folder is there twice."""
    add(db, place(tmp_path / "old", "one", honest_bundle))
    earlier = [
        replace(run, status=run.status.model_copy(update={"updated_at": "2026-01-01T00:30:00Z"}))
        for run in shifted(RUNS, 2.0)
    ]
    newer = place(tmp_path / "new", "one", honest.bundle(earlier))
    arrive(tmp_path / "old", "one")
    arrive(tmp_path / "new", "one", "two", "one")
    add(db, tmp_path / "old")
    report, _ = add(db, newer)
    snapshot = read(db)
    assert [(item.slug, item.current, item.arrived) for item in snapshot.submissions()] == [
        ("one", True, 2),
        ("one", False, 0),
    ]
    assert {run.ended_at for run in snapshot.runs("smoke@1")} == {"2026-01-01T00:30:00Z"}
    assert report.conflicts == ()
    other = tmp_path / "other.sqlite"
    add(other, tmp_path / "new")
    assert add(other, tmp_path / "old")[0].digest == report.digest


def test_an_interrupted_bundle_leaves_nothing(tmp_path, db, honest_bundle, monkeypatch):
    path = place(tmp_path, "one", honest_bundle)
    real, calls = database._insert_iterations, []

    def stop(session, runs):
        real(session, runs)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(database, "_insert_iterations", stop)
    with pytest.raises(KeyboardInterrupt):
        add(db, path)
    monkeypatch.undo()
    snapshot = read(db)
    assert (snapshot.submissions(), snapshot.runs("smoke@1"), snapshot.config_ids()) == ([], [], set())
    assert add(db, path)[0].outcomes == {"new": 4}


def test_what_is_no_path_is_a_usage_error(tmp_path, db):
    with pytest.raises(UsageError, match="does not exist"):
        add(db, tmp_path / "none")


def attested(sha256, level, date, *flags):
    return models.Attestation(
        sha256=sha256,
        digest=hashlib.sha256(repr((sha256, level, date, flags)).encode()).hexdigest(),
        level=level,
        by="A. Maintainer",
        date=date,
        evidence="seen",
        flags=json.dumps([[code, "a reason", date, "A. Maintainer"] for code in flags]),
    )


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What can come in, each as a function of a store: bundles, what is attested of them, and run directories."""
    from leaderboard.bundles.bundle import open_bundle

    root = tmp_path_factory.mktemp("steps")
    contents = [
        honest.bundle(RUNS[:2]),
        honest.bundle(RUNS[1:3], honest.TOML.replace(b"Two games", b"Other title")),
        honest.bundle(shifted(RUNS[:3])),
        honest.bundle(shifted(RUNS[2:], 2.0)),
    ]
    opened = []
    for number, content in enumerate(contents):
        (root / f"{number}.zip").write_bytes(content)
        opened.append(open_bundle(root / f"{number}.zip"))
    directories = [honest.write_run(run, root / f"dir-{n}") for n, run in enumerate((RUNS[0], *shifted(RUNS[:1], 3.0)))]
    killed = honest.with_score(RUNS[3])
    killed = replace(killed, status=killed.status.model_copy(update={"state": "failed", "summary": None}))
    directories.append(honest.write_run(killed, root / "dir-failed"))

    def rows(bundle):
        return [new_run(claims.check(run, run.status.state), own=False) for run in bundle.runs()]

    def bundle(number, slug):
        def step(store):
            new = intake.new_submission(opened[number], rows(opened[number]), slug, "recomputed")
            store.add_submission(new)

        return step

    def attest(number, *rest):
        """An attestation comes with its bundle, or after it."""

        def step(store):
            said = attested(opened[number].sha256, *rest)
            slug = f"slug-{min(number, 2)}"
            new = intake.new_submission(opened[number], rows(opened[number]), slug, "recomputed", (), said)
            store.place(opened[number].sha256, slug, said) or store.add_submission(new)

        return step

    return [
        *(bundle(number, f"slug-{min(number, 2)}") for number in range(4)),  # the last two are of one slug
        bundle(0, ""),
        attest(1, "replayed", "2026-03-02"),
        attest(2, "rerun", "2026-03-01"),
        attest(2, None, "2026-03-05", "retracted"),
        *(lambda store, path=path: store.ingest(record.read_run(path)) for path in directories),
    ]


def test_any_order_of_anything_ends_in_the_same_content(tmp_path, steps):
    digests = set()
    for seed in range(6):
        order = random.Random(seed).choices(range(len(steps)), k=5) + random.Random(seed).sample(
            range(len(steps)), len(steps)
        )
        with ResultStore.open(tmp_path / f"{seed}.sqlite", create=True) as store:
            for number in order:
                steps[number](store)
            with store.snapshot() as snapshot:
                digests.add(snapshot.digest())
                assert len(snapshot.runs("smoke@1")) == 4
    assert len(digests) == 1


def test_a_store_says_what_became_of_each(db, tmp_path):
    directory = honest.write_run(RUNS[0], tmp_path / "runs")
    with ResultStore.open(db, create=True) as store:
        with pytest.raises(BadData):
            prepared(replace(record.read_run(directory), episodes=()))
        empty = NewSubmission(models.Submission(sha256="0" * 64, **TEXTS), ())
        assert store.add_submission(empty).outcome == "new"
        assert store.place("0" * 64, "").outcome == "known"
        assert store.place("1" * 64, "") is None
    assert load_task("smoke").key == "smoke@1"


TEXTS = {
    "slug": "x",
    "title": "x",
    "authors": "[]",
    "license": "x",
    "links": "[]",
    "submitted_at": "",
    "level": "claimed",
    "report": "{}",
}


LARGEST = 3.5e38
"""Beyond what a run measures in numbers of 32 bits."""


def test_what_a_diverging_run_measured_and_the_longest_time_are_stored_and_drawn(tmp_path, db):
    changed = []
    for run in RUNS:
        status = run.status.model_copy(update={"frames_per_second": 1e10})
        status = status.model_copy(update={"summary": status.summary.model_copy(update={"wall_seconds": 1e10})})
        rows = tuple(
            row.model_copy(update={"values": {**row.values, "loss": LARGEST * (-1) ** number}})
            for number, row in enumerate(run.diagnostics)
        )
        changed.append(replace(run, diagnostics=rows, status=status))
    (tmp_path / "bundle.zip").write_bytes(honest.bundle(changed))
    assert ingest([tmp_path / "bundle.zip"], db, references=False).submissions == {"new": 1}
    assert build(db, tmp_path / "site").pages > 0


def test_a_number_that_the_database_cannot_hold_refuses_that_bundle_alone(tmp_path, db, monkeypatch, other_bundle):
    """What no check has bounded must not cost the others their place."""
    (tmp_path / "bad.zip").write_bytes(honest.bundle(RUNS))
    (tmp_path / "good.zip").write_bytes(other_bundle)
    read = intake.read_bundle

    def unbounded(placed, *rest):
        new = read(placed, *rest)
        if placed.path.name == "bad.zip":
            new.runs[-1].row.updates = 10**30
        return new

    monkeypatch.setattr("leaderboard.store.ingest.read_bundle", unbounded)
    said = []
    done = ingest([tmp_path / "bad.zip", tmp_path / "good.zip"], db, references=False, progress=said.append)
    assert done.submissions == {"new": 1}
    assert done.damaged == (str(tmp_path / "bad.zip"),)
    assert [text for text in said if "bad.zip holds a number" in text]
    assert done.outcomes == {"new": len(RUNS)}
