"""A report as one HTML file that needs nothing else: no scripts, no fonts, no network; light and dark."""

from html import escape

from core.report.blocks import Block, Code, Grid, Heading, Paragraph, Picture, Report

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --muted: #57606a; --line: #d3d8dd; --page: #ffffff;
  --raised: #f6f7f8; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ec; --muted: #a2abb5; --line: #3a424b; --page: #16191d; --raised: #1f2429; }
}
body { font: 14px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p.muted, figcaption, h1 + p { color: var(--muted); }
p.pre { white-space: pre-wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; max-width: 26rem; }
th { color: var(--muted); font-weight: 600; }
.right { text-align: right; white-space: nowrap; }
th.across { color: var(--text); padding-top: .9rem; }
figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; color: var(--muted); }
pre { background: var(--raised); padding: .75rem; overflow-x: auto; font-size: 12px; }
@media print { body { max-width: none; margin: 0; } h2, h3 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def to_html(report: Report) -> str:
    """The report as the text of one HTML file."""
    body = "\n".join(_block(block) for block in report.blocks)
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        # Nothing may be loaded or run, whatever a name in the report contains.
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(report.title)}</h1>\n<p>{escape(report.subtitle)}</p>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Paragraph():
            names = [name for name, on in (("muted", block.muted), ("pre", block.preformatted)) if on]
            attribute = f" class='{' '.join(names)}'" if names else ""
            return f"<p{attribute}>{escape(block.text)}</p>"
        case Grid():
            return f"<div class='scroll'><table>\n{_grid(block)}</table></div>"
        case Picture():
            caption = f"<figcaption>{escape(block.caption)}</figcaption>" if block.caption else ""
            # The picture's own colour would win over the page's, which knows light from dark.
            return f"<figure>{block.svg.replace(' color=' + repr('#57606a'), '', 1)}{caption}</figure>"
        case Code():
            return f"<pre>{escape(block.text)}</pre>"


def _grid(grid: Grid) -> str:
    lines = []
    if any(grid.head):
        cells = "".join(_cell("th", text, index in grid.right) for index, text in enumerate(grid.head))
        lines.append(f"<tr>{cells}</tr>")
    for row in grid.rows:
        if len(row) == 1:
            lines.append(f"<tr><th class='across' colspan='{len(grid.head)}'>{escape(row[0])}</th></tr>")
            continue
        cells = "".join(_cell("td", text, index in grid.right) for index, text in enumerate(row))
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join(lines) + "\n"


def _cell(tag: str, text: str, right: bool) -> str:
    return f"<{tag}{' class=' + repr('right') if right else ''}>{escape(text)}</{tag}>"
