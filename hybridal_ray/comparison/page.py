"""One page of HTML with all figures and tables of an answer in itself; it loads nothing."""

import base64
import html
from collections.abc import Mapping, Sequence

from hybridal_ray.comparison.answer import Answer
from hybridal_ray.comparison.tables import Table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #22272e; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p { color: #57606a; max-width: 46rem; } img { max-width: 100%; display: block; margin: 1rem 0; }
table { display: block; overflow-x: auto; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e4e7eb; text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
"""


def render_page(answer: Answer, tables: Sequence[Table], figures: Mapping[str, bytes]) -> str:
    """Puts an answer on one page.

    Args:
        answer: For the title and what stands below it.
        tables: In order.
        figures: PNG files by name, in order.
    """
    title = html.escape(answer.question.name)
    done = sum(curve.finished for curve in answer.curves)
    warnings = "".join(f"<p><strong>{html.escape(warning)}</strong></p>\n" for warning in answer.warnings)
    images = "\n".join(
        f'<img alt="{html.escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        for name, png in figures.items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        f"<p>{done} of {len(answer.curves)} runs are finished. * marks differences whose 95 % interval excludes zero."
        f"</p>\n{warnings}{images}\n{''.join(table.html() for table in tables)}</body></html>\n"
    )
