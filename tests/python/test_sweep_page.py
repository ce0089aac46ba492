"""The page and the pictures that a sweep leaves: complete, small, and readable in a real browser."""

import html.parser
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from redislock import plots
from redislock.cli import app

TWELVE = ["--users", "1,8,16,32", "--strategies", "lua,lock,watch"]
DEMANDS = ["--check", "lua.p99<10s", "--check", "max<1us", "--balance", "100000"]
QUICK = ["--duration", "0.1", "--warmup", "0.02"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Headless, and asking nobody for anything.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

# What a reader of each width would see, told by the page itself in a frame of that width.
PROBE = """<!doctype html><meta charset="utf-8"><body><iframe width="WIDTH" height="2000"></iframe>
<script type="application/json" id="page">PAGE</script><script>
const frame = document.querySelector("iframe");
frame.srcdoc = JSON.parse(document.getElementById("page").textContent);
frame.onload = () => {
  const page = frame.contentDocument, box = each => each.getBoundingClientRect();
  const covers = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const overlaps = [...page.querySelectorAll("svg")].flatMap(svg => {
    const texts = [...svg.querySelectorAll("text")];
    return texts.flatMap((one, i) => texts.slice(i + 1).filter(other => covers(box(one), box(other)))
      .map(other => one.textContent + " / " + other.textContent));
  });
  const outside = [...page.querySelectorAll("svg text, svg circle, svg rect")].filter(each => {
    const svg = box(each.ownerSVGElement), mine = box(each);
    return mine.left < svg.left - 1 || mine.right > svg.right + 1 || mine.top < svg.top - 1
      || mine.bottom > svg.bottom + 1;
  }).map(each => each.outerHTML);
  const style = each => page.defaultView.getComputedStyle(each);
  const told = {
    width: page.documentElement.clientWidth, scroll: page.documentElement.scrollWidth,
    charts: [...page.querySelectorAll("svg")].map(each => [box(each).width, box(each).height]),
    page: style(page.body).backgroundColor, ink: style(page.body).color,
    lines: ["lua", "lock", "watch"].map(name => style(page.querySelector(`.${name}.line`)).stroke),
    overlaps, outside, smallest: Math.min(...[...page.querySelectorAll("p, td, dd")]
      .map(each => parseFloat(style(each).fontSize))),
  };
  document.title = "told";
  const out = document.createElement("pre");
  out.id = "told"; out.textContent = JSON.stringify(told);
  document.body.append(out);
};
</script>"""


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    """Sweep once; each test looks at what it left."""
    folder = tmp_path_factory.mktemp("page")
    out = folder / "out.html"
    done = CliRunner().invoke(
        app,
        ["compare", "--url", server.url, *QUICK, *TWELVE, "--repeat", "2", "--html", str(out), *DEMANDS],
        prog_name="redislock",
    )
    assert done.exit_code == 1, done.output
    return out


@pytest.fixture(scope="module")
def browser():
    """Find a real browser."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on PATH (Debian: apt install chromium)")
    return found


def browse(browser, folder, *arguments):
    return subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True,
        timeout=60,
        check=True,
        text=True,
    )


# ---- the text


def test_it_is_one_small_page_that_fetches_nothing(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=|url\(|@import|https?:", text)
    open_tags = []

    class Tags(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

        def handle_startendtag(self, tag, attrs):
            pass

    Tags().feed(text)
    assert open_tags == []


def test_it_holds_verdicts_charts_table_and_settings(page, server):
    text = page.read_text(encoding="utf-8")
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(svg)
    assert text.count("<svg") == 3
    assert text.count("<tr>") == 13
    assert text.count("<polyline") == 9
    for words in ("<b>lua</b>", "held", "holds</span>", "fails</span>", "Throughput", "Conflicts per ok"):
        assert words in text
    assert server.url in text
    assert "<dt>users</dt><dd>1, 8, 16, 32</dd>" in text
    assert "lua.p99&lt;10s" in text


def test_what_it_shows_is_escaped(server, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["redislock", "compare", "<script>alert(1)</script>"])
    out = tmp_path / "out.html"
    arguments = ["compare", "--url", server.url, *QUICK, "--strategies", "lua", "--html", str(out)]
    assert CliRunner().invoke(app, arguments, prog_name="redislock").exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


# ---- a browser


def luminance(colour):
    parts = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_is_readable_in_a_real_browser(page, browser, tmp_path, scheme, width):
    text = json.dumps(page.read_text(encoding="utf-8")).replace("</", "<\\/")
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.replace("WIDTH", str(width)).replace("PAGE", text), encoding="utf-8")
    wanted = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    window = f"--window-size={max(width, 800)},2000"
    done = browse(
        browser, tmp_path, wanted, window, "--virtual-time-budget=5000", "--dump-dom", probe.as_uri()
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    told = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert told["scroll"] <= told["width"]  # the table scrolls, the page does not
    assert len(told["charts"]) == 3
    for across, high in told["charts"]:
        assert 250 <= across <= told["width"]
        assert 0.5 < high / across < 0.8
    assert told["overlaps"] == []
    assert told["outside"] == []
    assert told["smallest"] >= 14
    assert (luminance(told["page"]) < 0.05) == (scheme == "dark")
    assert contrast(told["page"], told["ink"]) > 7
    for each in told["lines"]:
        assert contrast(told["page"], each) > 3


def test_a_screenshot_shows_it(page, browser, tmp_path):
    shot = tmp_path / "shot.png"
    browse(browser, tmp_path, "--window-size=1000,1400", f"--screenshot={shot}", page.as_uri())
    data = shot.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 40_000  # an empty page of that size has 10 000


# ---- pictures


@pytest.mark.parametrize(
    "grid",
    [
        ["--users", "1,4", "--accounts", "1,2"],
        ["--accounts", "1,2", "--rtt", "0,1ms", "--repeat", "2"],
        ["--users", "4"],
    ],
)
def test_a_plot_is_drawn(server, tmp_path, grid):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'redislock[plots]'")
    for suffix in ("png", "svg"):
        out = tmp_path / f"chart.{suffix}"
        arguments = ["--url", server.url, *QUICK, *grid, "--plot", str(out)]
        done = CliRunner().invoke(app, ["compare", *arguments], prog_name="redislock")
        assert done.exit_code == 0, done.output
        data = out.read_bytes()
        if suffix == "png":
            assert data.startswith(b"\x89PNG")
            assert len(data) > 20_000
        else:
            assert ET.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    ("metric", "values", "scale"),
    [
        ("throughput", [170_000.0, 11_000.0, None], "linear"),
        ("throughput", [170_000.0, 450.0, None], "log"),  # else the slow one lies on the ground
        ("throughput", [0.0, 0.0], "linear"),
        ("p99", [0.002, 0.001], "log"),
        ("p99", [None], "linear"),
        ("conflicts", [0.0, 20.0, 0.1], "linear"),
    ],
)
def test_the_scale_shows_the_slow_and_the_fast(metric, values, scale):
    figure = pytest.importorskip("matplotlib.figure")
    axes = figure.Figure().subplots()
    axes.plot([each or 1.0 for each in values])
    plots._scale(axes, metric, values)
    assert axes.get_yscale() == scale


def test_without_matplotlib_a_sentence_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("redislock.plots.is_available", lambda: False)
    done = CliRunner().invoke(app, ["compare", "--plot", str(tmp_path / "x.png")], prog_name="redislock")
    assert done.exit_code == 2
    assert "pip install 'redislock[plots]'" in done.stderr
    assert done.stdout == ""
