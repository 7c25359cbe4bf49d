"""A comparison as one HTML page that needs nothing else: pictures inside, no script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from compare import simulation
from compare.capacity import SERVERS, capacities
from compare.comparison_table import cells
from compare.report import shares, shortcomings
from compare.results import Results
from labs.methods import TITLES
from realserver_setup.render import TEMPLATES


def write(results: Results, folder: Path, pictures: Sequence[Path]) -> Path:
    """Make compare.html; `pictures` are SVG files."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    there = bool(results.points or results.findings)
    text = environment.get_template("compare/page.html.j2").render(
        results=results,
        titles={method: TITLES[method] for method in results.asked} if there else {},
        cells=cells(results) if there else {},
        capacities=capacities(results) if results.points else [],
        rates=SERVERS,
        deviations={method: simulation.deviations(results, method) for method in results.methods},
        dispatch=results.dispatch,
        shares=shares,
        shortcomings=shortcomings(results),
        pictures=[_inline(picture) for picture in pictures],
    )
    page = folder / "compare.html"
    page.write_text(text)
    return page


def _inline(picture: Path) -> Markup:
    """The svg element of a file, without what only a file of its own has before it."""
    text = picture.read_text()
    return Markup(text[text.index("<svg") :])
