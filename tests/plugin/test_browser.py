"""The page of --gradcheck-html as a browser shows it: Chromium, headless."""

import shutil

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("playwright")

from pages import CHECKS, FAILED, SUITE, warm
from playwright.sync_api import sync_playwright

warm()

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.extra,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium on the PATH"),
]

WIDTHS = [1280, 390]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page of many checks, as a run of pytest in a process of its own writes it."""
    import subprocess
    import sys
    from textwrap import dedent

    from conftest import QUADRATIC

    folder = tmp_path_factory.mktemp("run")
    (folder / "quadratic.py").write_text(dedent(QUADRATIC), encoding="utf-8")
    (folder / "test_nn.py").write_text(dedent(SUITE), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--gradcheck-html=page.html"], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 1, done.stdout.decode()
    return (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as session:
        found = session.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page, with all that it said and asked for."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def js(self, code):
        return self.page.evaluate(code)

    def column(self, number):
        """The texts of a column, rows that are hidden left out."""
        return self.js(
            f"[...document.querySelectorAll('#checks tbody tr:not([hidden])')]"
            f".map(row => row.cells[{number}].textContent.trim())"
        )


@pytest.fixture
def opened(browser, address, request):
    options = {"viewport": {"width": 1280, "height": 900}, **getattr(request, "param", {})}
    found = Opened(browser, address, **options)
    yield found
    # Whatever a test did: no error, no request but for the page itself.
    found.page.wait_for_timeout(50)
    assert found.said == []
    assert [url for url in found.asked if not url.startswith("data:")] == [address]
    found.context.close()


def sized(*widths):
    options = [{"viewport": {"width": width, "height": 900}} for width in widths]
    return pytest.mark.parametrize("opened", options, indirect=True, ids=map(str, widths))


@sized(*WIDTHS)
def test_nothing_is_wider_than_the_window(opened):
    width = opened.js("innerWidth")
    assert opened.js("document.documentElement.scrollWidth") <= width
    outside = opened.js(
        """[...document.querySelectorAll("body *")].filter(item =>
             !item.closest("pre, svg, .hidden") && item.getBoundingClientRect().right > innerWidth
           ).map(item => item.tagName + " " + item.className)"""
    )
    assert outside == []


@sized(1280, 1000, 800, 400, 390, 360)
def test_nothing_is_cut_off(opened):
    """No element has more inside than it shows, and no text of a picture lies outside of it."""
    cut = opened.js(
        """[...document.querySelectorAll("body *")].filter(item =>
             !item.closest("svg, .hidden, script, select, input")
             && item.getBoundingClientRect().width && item.scrollWidth > item.clientWidth + 1
             && getComputedStyle(item).display !== "inline"
           ).map(item => item.tagName + "." + item.className + " " + item.scrollWidth)"""
    )
    assert cut == []
    outside = opened.js(
        """[...document.querySelectorAll("svg text")].filter(item => {
             const text = item.getBoundingClientRect();
             const whole = item.closest("svg").getBoundingClientRect();
             return text.width && (text.left < whole.left - 1 || text.right > whole.right + 1
                                   || text.bottom > whole.bottom + 1); }
           ).map(item => item.textContent)"""
    )
    assert outside == []
    shown = opened.js("[...document.querySelectorAll('#check-1 pre')].filter(p => p.offsetWidth)")
    assert len(shown) == 1


@pytest.mark.parametrize("width", [1280, 400])
def test_the_table_says_what_is_wrong(opened, width):
    opened.page.set_viewport_size({"width": width, "height": 900})
    said = "W is 3/2 x numeric in row 1 (4 of 12 wrong)"
    if width > 800:
        assert opened.page.locator("#checks td", has_text=said).is_visible()
        assert opened.page.locator("#checks td", has_text="W[1, 3]").first.is_visible()
    else:
        assert not opened.page.locator("#checks td", has_text=said).is_visible()
        beside = "getComputedStyle(document.querySelector('#checks tbody th'), '::after').content"
        assert opened.js(beside) == f'"{said}"'


@sized(*WIDTHS)
def test_failures_come_first(opened):
    assert opened.column(0) == ["failed"] * FAILED + ["expected"] + ["passed"] * 3
    assert opened.page.inner_text("#count") == f"{CHECKS} checks"
    assert opened.page.is_visible("#check-1 svg")


@sized(*WIDTHS)
def test_hostile_names_are_shown_and_do_nothing(opened):
    assert opened.js("window.hacked") is None
    assert opened.js("document.images.length") == 0
    assert "</script><script>window.hacked=1</script>" in opened.page.inner_text("#checks")
    assert opened.js("document.scripts.length") == 1


def test_a_script_that_is_put_into_the_page_is_not_run(opened):
    opened.js(
        """(() => { const script = document.createElement("script");
                    script.textContent = "window.hacked = 1"; document.body.append(script); })()"""
    )
    opened.page.wait_for_timeout(50)
    assert opened.js("window.hacked") is None
    (said,) = opened.said
    assert "Content Security Policy" in said
    opened.said.clear()


def test_a_click_sorts_and_says_so(opened):
    head = opened.page.locator("thead th")
    names = head.all_inner_texts()
    column = names.index("Evaluations")
    button = head.nth(column).locator("button")
    button.click()
    assert head.nth(column).get_attribute("aria-sort") == "descending"
    numbers = [int(text.replace(",", "")) for text in opened.column(column)]
    assert numbers == sorted(numbers, reverse=True)
    button.press("Enter")
    assert head.nth(column).get_attribute("aria-sort") == "ascending"
    numbers = [int(text.replace(",", "")) for text in opened.column(column)]
    assert numbers == sorted(numbers)
    head.nth(1).locator("button").click()
    assert head.nth(column).get_attribute("aria-sort") is None
    tests = opened.column(1)
    assert tests == sorted(tests, key=str.lower)


def test_nan_is_sorted_last_either_way(opened):
    head = opened.page.locator("thead th")
    column = head.all_inner_texts().index("Difference")
    for _ in range(2):
        head.nth(column).locator("button").click()
        texts = opened.column(column)
        assert texts.count("") == 1
    # test_nan has no difference.
    assert "" in (texts[0], texts[-1])


def test_the_filter_hides_rows_and_their_details(opened):
    page = opened.page
    page.fill("#text", "TEST_ROW")
    assert opened.column(1) == ["test_nn.py::test_row"]
    assert page.inner_text("#count") == f"1 of {CHECKS} checks"
    visible = "[...document.querySelectorAll('article')].filter(a => !a.hidden).length"
    assert opened.js(visible) == 1
    page.fill("#text", "nothing like that")
    assert opened.column(1) == []
    assert page.is_visible("#nothing")
    assert not page.is_visible("#failures")
    page.fill("#text", "")
    page.select_option("#verdict", "inconclusive")
    assert opened.column(1) == ["test_nn.py::test_noisy"]
    page.select_option("#verdict", "failed")
    assert len(opened.column(1)) == FAILED
    # The name of a block finds its check.
    page.fill("#text", "_$x_")
    assert len(opened.column(1)) == 3


@pytest.mark.parametrize(
    "opened",
    [{"color_scheme": "dark"}, {"color_scheme": "light"}],
    indirect=True,
    ids=["dark", "light"],
)
def test_light_and_dark(opened, request):
    def colours():
        found = opened.js(
            """["body", "#check-1 svg text", "#check-1 pre"].map(name => {
                 const style = getComputedStyle(document.querySelector(name));
                 return name.includes("text") ? style.fill : style.backgroundColor; })"""
        )
        return [sum(map(int, colour[4:-1].split(", "))) / 3 for colour in found]

    def is_dark():
        ground, ink, text = colours()
        assert (ground < 60 < 180 < ink) or (ground > 240 > 60 > ink), (ground, ink)
        assert abs(text - ground) < 30
        return ground < 60

    dark = request.node.callspec.id == "dark"
    assert is_dark() == dark
    button = opened.page.locator("#theme")
    assert button.inner_text() == ("Light" if dark else "Dark")
    button.click()
    assert is_dark() != dark
    # A browser stores it in a process of its own, which on a busy machine may answer the page
    # that is loaded next before it has heard of the click: so the page may be loaded again.
    for _ in range(20):
        opened.page.reload()
        opened.asked.pop()
        if is_dark() != dark:
            break
        opened.page.wait_for_timeout(100)
    assert is_dark() != dark


def test_the_keyboard_reaches_everything(opened):
    reached = []
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.append(
            opened.js(
                "document.activeElement.id || document.activeElement.textContent.slice(0, 40)"
            )
        )
    for wanted in ("theme", "text", "verdict", "Evaluations", "test_nn.py::test_row"):
        assert wanted in reached


def test_a_link_leads_to_the_details(opened):
    opened.page.click("#checks a:text-is('test_nn.py::test_row')")
    assert opened.js("document.querySelector(':target').id") == "check-1"
    top = opened.js("document.querySelector(':target').getBoundingClientRect().top")
    assert 0 <= top < 300


def test_a_wrong_row_is_a_row_of_another_colour(opened):
    """The picture as it is drawn: the second of three rows."""
    opened.page.locator("#check-1 svg image").first.scroll_into_view_if_needed()
    data = opened.js("document.querySelector('#check-1 svg image').getAttribute('xlink:href')")
    colours = opened.js(
        """(async data => { const image = new Image(); image.src = data; await image.decode();
             const canvas = document.createElement("canvas");
             canvas.width = image.width; canvas.height = image.height;
             const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
             const data4 = [...context.getImageData(0, 0, image.width, image.height).data];
             const row = y => data4.slice(4 * image.width * y, 4 * image.width * (y + 1)).join();
             return [image.width, image.height, row(0), row(1), row(2)]; })"""
        + f"({data!r})"
    )
    assert colours[:2] == [4, 3]
    assert colours[2] == colours[4] != colours[3]
    opened.asked[:] = [url for url in opened.asked if not url.startswith("data:")]


def test_it_prints_without_controls(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.is_visible("#controls")
    assert not opened.page.is_visible("#theme")
    assert opened.page.is_visible("#check-1 svg")
    assert opened.page.pdf().startswith(b"%PDF")
