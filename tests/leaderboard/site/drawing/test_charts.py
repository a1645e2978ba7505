import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from leaderboard.board import looks
from leaderboard.board.views import Curve, CurvePoint, Departure, Entry
from leaderboard.site.drawing import charts, figures, letters, pdf_bytes, plot_files, plots
from leaderboard.site.drawing.charts import PAPER, Line, Point
from leaderboard.site.drawing.spans import SAYS
from leaderboard.statistics.intervals import Estimate
from suite.contracts import registry

LIGHT, DARK = "#fdfdfb", "#14171a"
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""Machado et al. 2009, severity 1, on linear RGB."""


def entry(method="dense", **changes):
    plain = {"config_id": "0" * 16, "agent": "DQN", "network": "Impala", "label": method, "method": method}
    plain |= {"methods": (method,), "published": False, "departures": (), "footnotes": (), "command": ""}
    return Entry(**plain | changes)


def lines(*methods):
    points = tuple(Point(x, 1 - 0.1 * x, 0.9 - 0.1 * x, 1.1 - 0.1 * x) for x in range(9))
    return [Line(entry(method), points) for method in methods]


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_method_of_the_suite_has_a_colour_that_reads_on_light_and_on_dark():
    own = {name for name in registry.registered("method") if name != "tiny"}
    assert own <= set(charts.METHODS)
    for colour, shape in charts.METHODS.values():
        assert contrast(colour, LIGHT) >= 3
        assert contrast(colour, DARK) >= 3
        assert shape in looks._SHAPES


def test_methods_with_one_marker_stay_apart_in_every_form_of_colour_blindness():
    assert len({colour for colour, _ in charts.METHODS.values()}) == len(charts.METHODS)
    for (one, marker), (other, same) in itertools.combinations(charts.METHODS.values(), 2):
        for matrix in BLINDNESS.values() if marker == same else ():
            distance = np.linalg.norm(lab(np.array(matrix) @ linear(one)) - lab(np.array(matrix) @ linear(other)))
            assert distance >= 30, (one, other)


def test_styles_follow_from_the_entry_alone():
    assert charts.style(entry("rigl")) == charts.style(entry("rigl", config_id="f" * 16, label="y"))
    assert charts.style(entry("a newcomer")) == charts.style(entry("a newcomer"))
    assert charts.style(entry(network="Nature CNN")).dash != charts.style(entry()).dash
    assert charts.style(entry(network="Impala \N{MULTIPLICATION SIGN}1")) == charts.style(entry())
    assert charts.style(entry(agent="C51")).shape != charts.style(entry()).shape
    assert charts.style(entry(agent="IQN")).colour == charts.style(entry()).colour
    published = charts.style(entry(published=True))
    assert published.colour not in {colour for colour, _ in charts.METHODS.values()}
    shapes = {charts.style(entry(departures=(Departure("agent.n_step", n, 1),))).shape for n in range(2, 40)}
    assert len(shapes) > 4


def test_agents_make_a_method_darker_or_lighter_and_it_reads_on_light_and_on_dark_still():
    for method in charts.METHODS:
        drawn = {agent: charts.style(entry(method, agent=agent)).colour for agent in ("DQN", "C51", "Rainbow")}
        assert len(set(drawn.values())) == 3
        for colour in drawn.values():
            assert contrast(colour, LIGHT) >= 2.98
            assert contrast(colour, DARK) >= 2.98
        assert lab(linear(drawn["Rainbow"]))[0] - lab(linear(drawn["C51"]))[0] > 15


def test_no_two_entries_of_a_chart_look_the_same():
    own = [entry(config_id=f"{i:016x}", label=f"dense {i}") for i in range(30)]
    published = [entry(config_id=f"p{i}", label=f"p {i}", published=True) for i in range(4)]
    drawn = charts.styles([*own, *published])
    assert len({(one.colour, str(one.dash), one.shape) for one in drawn.values()}) == 34
    assert {one.colour for one in drawn.values()} == {charts.style(own[0]).colour, charts.style(published[0]).colour}
    assert drawn["dense 0"] == charts.style(own[0])
    assert charts.styles([*own, *published][::-1]) == drawn
    alone = [entry("dense"), entry("rigl", config_id="f" * 16, label="y")]
    assert charts.styles(alone) == {one.label: charts.style(one) for one in alone}


def test_an_entry_looks_the_same_alone_and_beside_any_other_once_its_task_gave_it_a_look():
    alike = [entry(config_id=f"{i:016x}", label=f"dense {i}") for i in range(3)]
    found = looks.apart(alike)
    given = [replace(one, look=found[one.config_id]) for one in alike]
    assert [charts.style(one) for one in given] == [charts.styles(given[1:] + given[:1])[one.label] for one in given]
    assert charts.style(given[2]) == charts.styles(given[2:])[given[2].label] != charts.style(alike[2])


def texts(drawn):
    root = ElementTree.fromstring(drawn)
    found = [element for element in root.iter() if element.tag.endswith("text")]
    return [(element.text, float(element.attrib["x"]), element.attrib["text-anchor"]) for element in found]


def test_the_legend_shows_dash_and_marker_of_each_line_and_every_name_whole():
    points = tuple(Point(x, 1.0) for x in range(9))
    long = "Rainbow \N{MIDDLE DOT} Impala \N{MULTIPLICATION SIGN}5 \N{MIDDLE DOT} magnitude pruning, weight decay "
    names = {"Impala": f"{long}(sparsity 0.95)", "Nature CNN": f"{long}(sparsity 0.9)", "Other": "c"}
    found = [
        Line(entry(config_id=name, label=name, network=network, published=name == "c"), points)
        for network, name in names.items()
    ]
    looks = charts.styles(line.entry for line in found)
    keys = [plot_files.Key.of(line.entry.label, looks[line.entry.label]) for line in found]
    drawn = plot_files.svg(plot_files.Picture((("", figures.lines_plot(found)),), "x", "y", tuple(keys), 1, 234))
    legend = drawn[drawn.rindex("</g><path") :]
    assert legend.count("h18") == 3
    assert legend.count("stroke-dasharray") == 2
    assert legend.count('z"') == 2  # what others published has no marker
    said = texts(drawn)
    words = " ".join(text for text, _, anchor in said if anchor == "start").split()
    assert words == [word for name in names.values() for word in name.split()]
    assert all(x + letters.width(text, PAPER.text) <= 234 for text, x, anchor in said if anchor == "start")


def test_letters_are_as_wide_as_their_font_says_and_lines_end_before_the_room_does():
    assert letters.width("Mi 0", 10) == pytest.approx(8.33 + 2.22 + 2.78 + 5.56)
    assert letters.wrapped("one two three", 36, 10) == ["one two", "three"]
    assert letters.wrapped("abcdefgh", 20, 10) == ["abc", "defg", "h"]
    assert letters.wrapped("", 20, 10) == [""]


def test_a_forest_for_papers_holds_twelve_long_names_and_ticks_that_do_not_touch():
    long = "DQN \N{MIDDLE DOT} Impala \N{MULTIPLICATION SIGN}3 \N{MIDDLE DOT} magnitude pruning (sparsity 0.%d)"
    rows = [
        figures.Row(long % number, Estimate(1.0 + 0.001 * number, 0.9981, 1.0123), "#123456", note="A")
        for number in range(12)
    ]
    drawn = figures.intervals(rows, "IQM, human-normalized", width=234, row_height=12)
    said = texts(drawn)
    ends = {"start": (0.0, 1.0), "middle": (0.5, 0.5), "end": (1.0, 0.0)}
    for text, x, anchor in said:
        wide = letters.width(text, PAPER.text)
        before, behind = ends[anchor]
        assert x - before * wide >= 0
        assert x + behind * wide <= 234
    assert " ".join(text for text, _, anchor in said if anchor == "end").split()[:-2] == [
        word for number in range(12) for word in ["A", *(long % number).split()]
    ]
    ticks = [(x, letters.width(text, PAPER.text)) for text, x, anchor in said if anchor == "middle"]
    assert len(ticks) >= 2
    for (one, wide), (other, width) in itertools.pairwise(ticks):
        assert other - one > (wide + width) / 2


def test_a_gap_in_a_curve_stays_a_gap():
    found = [CurvePoint(frames, Estimate(1.0, 0.9, 1.1)) for frames in (10, 20, 40)]
    points = charts.curve_points(Curve(entry(), tuple(found)), 10)
    assert [point.x for point in points] == [10, 20, 30, 40]
    assert [point.value for point in points] == [1.0, 1.0, None, 1.0]


@pytest.mark.parametrize(
    "made",
    [
        lambda: figures.lines_pdf({"": lines("dense", "rigl")}, "own", "share", width=234, height=120),
        lambda: pdf_bytes.from_svg(
            figures.intervals(
                [
                    figures.Row.of(entry("rigl"), Estimate(1, 0.5, 1.5), "A"),
                    figures.Row.of(entry("set"), Estimate(2, None, None)),
                ],
                "IQM", width=234, row_height=12, reference=0.0,
            )
        ),
        lambda: figures.lines_pdf(
            {"Loss": lines("dense"), "Sparsity": lines("rigl")}, "frames", "", width=234, height=60, columns=2
        ),
        lambda: figures.lines_pdf({"": lines("\u6f22\u5b57 \U0001f600 \u202eevil")}, "x", "y", width=234, height=60),
    ],
)  # fmt: skip
def test_pdf_is_the_same_bytes_every_time_as_wide_as_asked_with_one_font_and_no_date(made):
    first, second = made(), made()
    assert first == second
    assert first.startswith(b"%PDF-1.")
    assert first.rstrip().endswith(b"%%EOF")
    assert not re.search(rb"/(CreationDate|ModDate|ID)\b", first)
    fonts = set(re.findall(rb"/BaseFont /(\S+)", first))
    assert len(fonts) == 1
    assert fonts.pop().startswith(b"AAAAAA+")
    assert int(re.search(rb"/MediaBox \[0 0 (\d+)", first).group(1)) == 234
    start = int(re.search(rb"startxref\s+(\d+)", first).group(1))
    assert first[start:].startswith(b"xref")
    for offset, number in zip(re.findall(rb"(\d{10}) 00000 n", first[start:]), range(1, 10_000), strict=False):
        assert first[int(offset) :].lstrip().startswith(b"%d 0 obj" % number)


def test_differences_are_sorted_and_coloured_by_what_they_speak_for():
    rows = figures.difference_rows(
        [("Pong", Estimate(-1, -2, -0.5)), ("Qbert", Estimate(2, 1, 3)), ("Boxing", Estimate(0.5, -1, 2)),
         ("Enduro", Estimate(0.1, None, None))]
    )  # fmt: skip
    assert [row.name for row in rows] == ["Qbert", "Boxing", "Enduro", "Pong"]
    assert [row.colour for row in rows] == [SAYS[word] for word in ("better", "open", "open", "worse")]


def test_a_drawn_plot_holds_every_point_and_breaks_at_gaps():
    points = (Point(0, 1.0, 0.5, 1.5), Point(10, 2.0, 1.5, 2.5), Point(20, None), Point(40, 4.0))
    plot = plots.plot([plots.Trace(points, "#123456"), plots.Trace((Point(0, 3.0),), faint=True)])
    assert [label.text for label in plot.x_labels] == ["0", "10", "20", "30", "40"]
    assert [label.text for label in plot.y_labels] == ["0", "1", "2", "3", "4"]
    assert [stroke.faint for stroke in plot.strokes] == [True, False]
    line = plot.strokes[1]
    assert (line.line.count("M"), line.line.count("L")) == (2, 1)
    assert line.band.count("Z") == 1
    across = [float(x) for x in re.findall(r"[ML](\S+) ", line.line)]
    assert across[0] == plot.left
    assert across[-1] == plot.right
    drawn = plots.plot([plots.Trace.of(points, charts.style(entry("rigl", network="Nature CNN")))]).strokes[0]
    assert (drawn.dash, drawn.colour, drawn.marks.count("z")) == ("6 3", charts.METHODS["rigl"][0], 3)
    assert plots.plot([plots.Trace.of(points, charts.style(entry(published=True)))]).strokes[0].marks == ""
    assert plots.plot([]) is None
    assert plots.plot([plots.Trace((Point(3, None),))]) is None


@pytest.mark.parametrize("values", [(-20.0, -18.5), (0.001, 0.0012), (250_000.0, 640_000.0), (7.0, 7.0), (0.0, 0.0)])
def test_axes_hold_whatever_the_size_of_the_values(values):
    plot = plots.plot([plots.Trace(tuple(Point(i, value) for i, value in enumerate(values)))])
    texts = [label.text for label in plot.y_labels]
    assert len(texts) == len(set(texts)) >= 2
    ups = [float(y) for y in re.findall(r"[ML]\S+ ([\d.]+)", plot.strokes[0].line)]
    assert all(plot.top <= up <= plot.bottom for up in ups)
