"""The echo server's page in a browser, as a developer uses it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.received import Received

Post = Callable[..., int]


def indicator(measure: str, day: str, value: object, **groups: object) -> dict[str, Any]:
    """Make an indicator; its groups in the order in which they are given."""
    numbered = {f"group{n + 1}": dict([group]) for n, group in enumerate(groups.items())}
    named = {"createdBy": "ecolyo", "measureName": measure, "startDate": day, "value": value}
    return {**named, **numbered}


CONNECTION = indicator("connection-count-daily", "2026-11-20", 2, device="mobile")
KONNECTOR = indicator(
    "konnector-event-daily", "2026-11-19", 1, slug="enedis", event_type="connexion", status="error"
)
QUIZ = indicator("quiz-stars", "2026-11-20", 4, challenge_id="CHALLENGE0001", quiz_id="QUIZ0001")
MANY = 10_000
MOST_TABS = 30
PHONE: ViewportSize = {"width": 400, "height": 800}


def lines(page: Page) -> Locator:
    """The lines in sight, the latest first."""
    return page.locator("#spacer .line")


def line(page: Page, seq: int) -> Locator:
    return page.locator(f"#line-{seq}")


def listed(page: Page) -> list[int]:
    """The numbers of the lines in sight, from above."""
    tops = page.evaluate(
        "[...document.querySelectorAll('#spacer .line')]"
        ".map((line) => [line.getBoundingClientRect().top, Number(line.id.slice(5))])"
    )
    return [int(seq) for _, seq in sorted(tops)]


def count(page: Page, name: str) -> Locator:
    return page.locator(f"#count-{name} b")


def filtered(page: Page, text: str, numbers: list[int]) -> None:
    page.locator("#filter").fill(text)
    assert listed(page) == numbers, text


def test_live(page: Page, post: Post) -> None:
    """What arrives is there at once, the latest above, refused or not, with its reason."""
    expect(page).to_have_title("my desk · DACC echo")
    expect(page.get_by_text("Nothing has come yet")).to_be_visible()
    post(CONNECTION)
    expect(line(page, 1)).to_contain_text("connection-count-daily")
    expect(page.get_by_text("Nothing has come yet")).to_be_hidden()
    post(CONNECTION)
    post({**KONNECTOR, "value": "x"})
    post({**KONNECTOR, "group1": {"slug": "12345678901234"}}, "/alice/measure")
    post("{", "/nowhere")
    expect(lines(page)).to_have_count(5)
    assert listed(page) == [5, 4, 3, 2, 1]
    verdicts = {
        1: "ok",
        2: "dupsame as 1",
        3: "invalidvalue type is incorrect, it must be a number",
        4: "leaka number of 14 digits in group1.slug (12345678901234)",
        5: "refused404 nothing is here; try /measure or /remote/cc.cozycloud.dacc",
    }
    for seq, verdict in verdicts.items():
        expect(line(page, seq).locator(".verdict")).to_have_text(verdict)
    expect(line(page, 4).locator(".groups")).to_have_text("12345678901234connexionerror")
    told = {"received": 3, "duplicates": 1, "invalid": 1, "leaks": 1, "refused": 2}
    for name, number in told.items():
        expect(count(page, name)).to_have_text(str(number))


def test_filter(page: Page, post: Post) -> None:
    """Words and fields narrow the list; a count, too, and what comes later is filtered as well."""
    post(CONNECTION)
    post(KONNECTOR, "/alice/measure")
    post(QUIZ)
    post(QUIZ)
    post({**QUIZ, "value": "x"})
    expect(lines(page)).to_have_count(5)
    filtered(page, "measure:quiz", [5, 4, 3])
    filtered(page, "date:2026-11-19", [2])
    filtered(page, "group:challenge0001 verdict:dup", [4])
    filtered(page, "group:slug=enedis", [2])
    filtered(page, "verdict:invalid", [5])
    filtered(page, "-measure:quiz", [2, 1])
    filtered(page, "quiz 4", [4, 3])
    filtered(page, 'verdict:"must be a number"', [5])
    filtered(page, "stack:alice", [2])
    filtered(page, "stored:no", [5])
    filtered(page, "#3", [3])
    filtered(page, "MOBILE", [1])
    expect(page.locator("#shown")).to_have_text("1 of 5")
    post(KONNECTOR)
    post({**CONNECTION, "value": 7})
    expect(lines(page)).to_have_count(2)
    expect(page.locator("#shown")).to_have_text("2 of 7")
    filtered(page, "measure:nothing", [])
    page.get_by_role("button", name="Show all").click()
    expect(lines(page)).to_have_count(7)
    page.locator("#count-duplicates").click()
    expect(page.locator("#filter")).to_have_value("verdict:dup")
    expect(lines(page)).to_have_count(1)


def test_detail(page: Page, post: Post) -> None:
    """A click shows the raw bytes, the headers, the wire form, the indicator and the answer."""
    envelope = json.dumps({"data": json.dumps(KONNECTOR), "path": "measure"})
    post(envelope, "/alice/remote/cc.cozycloud.dacc_v2", X_Trace="b@c.fr", Authorization="Bearer s")
    line(page, 1).click()
    detail = page.locator("#detail")
    expect(detail.get_by_role("heading", level=2)).to_contain_text("konnector-event-daily")
    expect(detail).to_contain_text("Leak: an e-mail address in the header x-trace")
    expect(detail).to_contain_text("cozy-v2: an envelope with the indicator as text in data")
    expect(detail).to_contain_text("POST /alice/remote/cc.cozycloud.dacc_v2")
    raw = detail.locator("section", has_text="Raw body")
    expect(raw.locator("pre").first).to_have_text(envelope)
    raw.get_by_role("button", name="Hex").click()
    expect(raw.locator("pre.hex")).to_contain_text("000000  7b 22 64 61 74 61 22 3a")
    headers = detail.locator("section", has_text="Headers")
    expect(headers).to_contain_text("ecolyo-worker/0.1.0")
    expect(headers).to_contain_text("Bearer ••• (length 1)")
    decoded = detail.locator("section", has_text="Indicator, decoded").locator("pre")
    assert json.loads(decoded.inner_text()) == KONNECTOR
    expect(detail.locator("section", has_text="Answer, 201")).to_contain_text('{"ok": true}')


def test_reasons(page: Page, echo: EchoServer, post: Post) -> None:
    """The detail says in words what is wrong, and leads from a duplicate to what it doubles."""
    echo.faults.replace("ok*3,drop,accept-then-drop")
    for changes in ({}, {}, {"value": "x"}, {}, {}):
        post({**QUIZ, **changes})
    expect(lines(page)).to_have_count(5)
    notes = page.locator("#detail .notes")
    line(page, 3).click()
    expect(notes).to_contain_text("Invalid: value type is incorrect, it must be a number")
    line(page, 4).click()
    expect(notes).to_contain_text("Fault: drop")
    line(page, 5).click()
    expect(notes).to_contain_text("Fault: accept-then-drop")
    line(page, 2).click()
    expect(notes).to_contain_text("Duplicate: the same as request 1")
    page.get_by_role("button", name="Show request 1").click()
    expect(page.locator("#detail h2")).to_contain_text("request 1, indicator 1")
    expect(notes).to_contain_text("Good")


def test_metabase(page: Page, post: Post) -> None:
    """Cells have their count, sum and average, and are grey below five rows."""
    page.get_by_role("tab", name="What Metabase would show").click()
    expect(page.get_by_text("No cell has a row yet")).to_be_visible()
    for value in (1, 2, 3, 4, 5.5):
        post({**CONNECTION, "value": value})
    post(KONNECTOR)
    rows = page.locator("#cell-rows tr")
    groups = "slug=enedisevent_type=connexionstatus=error"
    expect(rows).to_have_text(
        [
            "connection-count-daily2026-11-20device=mobile515.53.1visible",
            f"konnector-event-daily2026-11-19{groups}111hidden, 1 of 5",
        ]
    )
    expect(rows.nth(0)).not_to_have_class("hidden-cell")
    expect(rows.nth(1)).to_have_class("hidden-cell")
    expect(page.locator("#shown")).to_have_text("1 of 2 visible")
    page.locator("#filter").fill("measure:konnector group:enedis")
    expect(rows).to_have_count(1)


def test_faults(page: Page, echo: EchoServer, post: Post) -> None:
    """Faults are set by buttons, for one request or more, and as a sequence, if it is one."""
    plan = page.locator("#plan")
    expect(plan).to_have_text("Faults: none")
    plan.click()
    page.get_by_role("button", name="status=503", exact=True).click()
    expect(plan).to_have_text("Faults: status=503*1")
    assert [post(CONNECTION), post(CONNECTION)] == [503, 201]
    expect(plan).to_have_text("Faults: none")
    page.get_by_label("A button sets its fault").select_option("for the next 3 requests")
    page.get_by_role("button", name="cozy-502", exact=True).click()
    expect(plan).to_have_text("Faults: cozy-502*3")
    page.get_by_role("button", name="Answer normally").click()
    expect(plan).to_have_text("Faults: none")
    sequence = page.get_by_label("or a sequence")
    sequence.fill("nonsense")
    sequence.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("'nonsense' is no fault; ")
    sequence.fill("status=500*2,reset")
    sequence.press("Enter")
    expect(plan).to_have_text("Faults: status=500*2,reset*1")
    expect(page.get_by_role("alert")).to_be_hidden()
    echo.stacks.set_fault("drop", "alice")
    post(CONNECTION)
    expect(page.locator("#own-plans")).to_have_text("Stack alice alone: drop*1")


def test_every_fault_has_a_button(page: Page, post: Post) -> None:
    """Each button sets a fault that the server takes."""
    page.locator("#plan").click()
    buttons = page.locator("#chips button")
    assert buttons.count() == 20
    for button in buttons.all():
        button.click()
        name = button.inner_text().partition("=")[0]
        expect(page.locator("#plan")).to_have_text(re.compile(rf"^Faults: {name}\b.*\*1$"))
        assert button.get_attribute("title")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_export(page: Page, post: Post, tmp_path: Path) -> None:
    """What was stored, and what came at all, is saved as NDJSON."""
    post(CONNECTION)
    post({**CONNECTION, "value": "x"})
    for name, link, number in (
        ("indicators.ndjson", "Indicators", 1),
        ("requests.ndjson", "All requests", 2),
    ):
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("link", name=link).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
        saved = [json.loads(text) for text in (tmp_path / name).read_text().splitlines()]
        assert len(saved) == number
        assert saved[0]["indicator"] == CONNECTION


def test_pause(page: Page, post: Post) -> None:
    """While it is paused the list stands still, what came is counted, and then shown."""
    post(CONNECTION)
    expect(lines(page)).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    post(KONNECTOR)
    expect(page.locator("#connection")).to_have_text("paused, 1 new")
    post(QUIZ)
    expect(page.locator("#connection")).to_have_text("paused, 2 new")
    expect(count(page, "received")).to_have_text("3")
    assert listed(page) == [1]
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#connection")).to_have_text("live")
    assert listed(page) == [3, 2, 1]


def test_clear(page: Page, echo: EchoServer, post: Post) -> None:
    """Clearing takes a second press, and begins anew on the server and on the page."""
    post(CONNECTION)
    line(page, 1).click()
    expect(page.locator("#detail")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(lines(page)).to_have_count(1)
    page.get_by_role("button", name="Really clear?").click()
    expect(page.get_by_text("Nothing has come yet")).to_be_visible()
    expect(page.locator("#detail")).to_be_hidden()
    expect(count(page, "received")).to_have_text("0")
    assert echo.received.requests() == []
    post(KONNECTOR)
    expect(line(page, 1)).to_contain_text("konnector-event-daily")


def test_keyboard(page: Page, post: Post) -> None:
    """All is within reach of the keyboard: filter, list, detail, views, pause."""
    for value in range(60):
        post({**QUIZ, "value": value})
    expect(count(page, "received")).to_have_text("60")
    press = page.keyboard.press
    press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.type("measure:quiz p")
    expect(page.locator("#connection")).to_have_text("live")
    page.locator("#filter").fill("")
    press("Escape")
    expect(page.locator("#list")).to_be_focused()
    active = page.locator("#spacer .active")
    for key, seq in (
        *(("ArrowDown", 59), ("ArrowDown", 58), ("ArrowUp", 59), ("End", 1)),
        *(("Home", 60), ("ArrowUp", 60)),
    ):
        press(key)
        expect(active).to_have_attribute("id", f"line-{seq}")
    press("PageDown")
    expect(active).not_to_have_attribute("id", "line-60")
    expect(active).to_be_in_viewport()
    press("End")
    press("Enter")
    expect(page.locator("#detail h2")).to_contain_text("request 1, indicator 1")
    press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator("#list")).to_be_focused()
    press("p")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    press("p")
    page.locator("#tab-requests").focus()
    press("ArrowRight")
    expect(page.locator("#tab-cells")).to_be_focused()
    expect(page.locator("#cells")).to_be_visible()
    page.locator("#plan").focus()
    press("Enter")
    expect(page.locator("#faults")).to_be_visible()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until something has the focus; what cannot be reached so ends it."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{wanted} is out of reach")


def test_export_by_keyboard(page: Page, post: Post, tmp_path: Path) -> None:
    """Tab and Enter alone save what came."""
    post(CONNECTION)
    expect(lines(page)).to_have_count(1)
    tab_to(page, page.locator("#export summary"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="All requests"))
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "saved")
    assert json.loads((tmp_path / "saved").read_text())["indicator"] == CONNECTION


def test_clear_by_keyboard(page: Page, echo: EchoServer, post: Post) -> None:
    """Tab and a key, pressed twice, clear the page and the server."""
    post(CONNECTION)
    expect(lines(page)).to_have_count(1)
    tab_to(page, page.locator("#clear"))
    page.keyboard.press("Enter")
    expect(page.locator("#clear")).to_have_text("Really clear?")
    assert len(echo.received.requests()) == 1
    page.keyboard.press("Space")
    expect(page.get_by_text("Nothing has come yet")).to_be_visible()
    assert echo.received.requests() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "meazure:foo",
            "There is no field “meazure”. The fields are measure, date, value, group, ",
        ),
        ("verdict:okk quiz", "No request has “okk” as its verdict. Verdicts are ok, dup, invalid,"),
        ("date:2026-13", "No request has “2026-13” as its date. A date is 2026-11-20, or"),
        ("constructor:x", "There is no field “constructor”"),
        ("nowhere", "No request has “nowhere”."),
        ("-measure:quiz", "No request is without “quiz” as its measure."),
    ],
)
def test_wrong_terms(page: Page, post: Post, text: str, why: str) -> None:
    """Where a filter finds nothing the page says which term is wrong, and lists no requests."""
    post(QUIZ)
    post({**QUIZ, "value": 5})
    expect(lines(page)).to_have_count(2)
    filtered(page, text, [])
    expect(page.locator("#no-match")).to_contain_text(why)
    expect(page.locator("#memory")).to_have_text("0 of 2 requests listed")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#memory")).to_have_text("2 requests listed")


def test_words_with_colons(page: Page, post: Post) -> None:
    """What stands in quotes, is an address or ends with a colon is searched for as it stands."""
    post({**QUIZ, "group1": {"challenge_id": "meazure:foo"}})
    post({**QUIZ, "group1": {"challenge_id": "http://here"}})
    post({**QUIZ, "value": "x"})
    expect(lines(page)).to_have_count(3)
    filtered(page, '"meazure:foo"', [1])
    filtered(page, "http://here", [2])
    filtered(page, "invalid:", [3])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("verdict:ok", "A cell has no verdict: that belongs to single requests."),
        ("-stack:alice wire:native", "A cell has no stack, wire: that belongs to single requests."),
        ("measure:quizz", "No cell has “quizz” as its measure."),
        (
            "meazure:quiz",
            "There is no field “meazure”. The fields are measure, date, value, group.",
        ),
    ],
)
def test_terms_that_no_cell_has(page: Page, post: Post, text: str, why: str) -> None:
    """The view of cells says which terms find nothing in it, and leads back to all."""
    post(QUIZ)
    page.get_by_role("tab", name="What Metabase would show").click()
    rows = page.locator("#cell-rows tr")
    expect(rows).to_have_count(1)
    page.locator("#filter").fill(text)
    expect(page.locator("#no-cell")).to_contain_text(why)
    expect(page.locator("#memory")).to_have_text("0 of 1 cell listed")
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(1)
    expect(page.locator("#no-cell")).to_be_hidden()


def test_each_view_has_its_own_footer_and_detail(page: Page, post: Post) -> None:
    """A request that is open and the keys of the list stand beside the list, not beside cells."""
    post(QUIZ)
    line(page, 1).click()
    expect(page.locator("#detail h2")).to_contain_text("request 1")
    expect(page.locator("footer")).to_contain_text("1 request listed")
    page.get_by_role("tab", name="What Metabase would show").click()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator("#memory")).to_have_text("1 cell listed")
    expect(page.locator("footer").get_by_text("choose")).to_be_hidden()
    page.get_by_role("tab", name="Requests").click()
    expect(page.locator("#detail h2")).to_contain_text("request 1")
    expect(page.locator("footer").get_by_text("choose")).to_be_visible()


def test_keys_of_groups(page: Page, post: Post) -> None:
    """The list names the keys of the groups wherever they may be wrong."""
    post(QUIZ)
    post({**QUIZ, "group1": {"chalenge": "CHALLENGE0001"}})
    post({**QUIZ, "value": "x"})
    shown = {
        1: "CHALLENGE0001QUIZ0001",
        2: "chalenge=CHALLENGE0001quiz_id=QUIZ0001",
        3: "challenge_id=CHALLENGE0001quiz_id=QUIZ0001",
    }
    for seq, groups in shown.items():
        expect(line(page, seq).locator(".groups")).to_have_text(groups)


def test_escape_clears_the_filter(page: Page, post: Post) -> None:
    """Esc in the filter empties it and shows all again, in either view."""
    post(CONNECTION)
    post(QUIZ)
    expect(lines(page)).to_have_count(2)
    filtered(page, "measure:quiz", [2])
    page.locator("#filter").press("Escape")
    expect(page.locator("#filter")).to_have_value("")
    expect(page.locator("#list")).to_be_focused()
    assert listed(page) == [2, 1]
    page.get_by_role("tab", name="What Metabase would show").click()
    expect(page.locator("#cell-rows tr")).to_have_count(2)
    page.locator("#filter").fill("measure:quiz")
    expect(page.locator("#cell-rows tr")).to_have_count(1)
    page.locator("#filter").press("Escape")
    expect(page.locator("#filter")).to_have_value("")
    expect(page.locator("#cell-rows tr")).to_have_count(2)


def test_keys_of_a_fresh_page(page: Page, post: Post) -> None:
    """The arrows choose and Enter opens before anything has the focus; a button stays a button."""
    for value in range(3):
        post({**QUIZ, "value": value})
    expect(lines(page)).to_have_count(3)
    active, press = page.locator("#spacer .active"), page.keyboard.press
    press("ArrowDown")
    expect(active).to_have_attribute("id", "line-3")
    press("ArrowDown")
    expect(active).to_have_attribute("id", "line-2")
    press("Enter")
    expect(page.locator("#detail h2")).to_contain_text("request 2, indicator 2")
    page.locator("#plan").focus()
    press("Enter")
    expect(page.locator("#faults")).to_be_visible()
    press("ArrowDown")
    expect(active).to_have_attribute("id", "line-1")
    page.reload()
    expect(lines(page)).to_have_count(3)
    press("Enter")
    expect(page.locator("#detail h2")).to_contain_text("request 3, indicator 3")


def test_reading_on(page: Page, post: Post) -> None:
    """Who has scrolled down keeps the same lines in sight while others arrive."""
    for value in range(80):
        post({**QUIZ, "value": value})
    expect(count(page, "received")).to_have_text("80")
    page.locator("#list").evaluate("(list) => { list.scrollTop = 1020; }")
    expect(line(page, 45)).to_be_in_viewport()
    before = line(page, 45).bounding_box()
    post(CONNECTION)
    expect(page.locator("#memory")).to_contain_text("81 requests")
    assert line(page, 45).bounding_box() == before


HOSTILE = "<img src=x onerror='document.title=1'></title><script>document.title=2</script>"


@pytest.mark.parametrize("path", ["/measure", "/%3Cimg%20src=x%20onerror=alert(1)%3E/measure"])
def test_hostile(page: Page, post: Post, path: str) -> None:
    """Nothing that an indicator says becomes markup or runs, wherever it is shown."""
    hostile = {**QUIZ, "group1": {"challenge_id": HOSTILE}}
    post(hostile, path, X_Odd=HOSTILE)
    post({**hostile, "measureName": HOSTILE, "startDate": HOSTILE, "value": HOSTILE}, path)
    post(HOSTILE, path)
    expect(lines(page)).to_have_count(3)
    for seq in (1, 2, 3):
        line(page, seq).click()
        expect(page.locator("#detail h2")).to_contain_text(f"request {seq}")
        expect(page.locator("#detail")).to_contain_text("<script>document.title=2</script>")
    page.get_by_role("tab", name="What Metabase would show").click()
    expect(page.locator("#cell-rows")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    expect(page).to_have_title("my desk · DACC echo")


def test_server_comes_back(page: Page, echo: EchoServer, post: Post) -> None:
    """When the server was away, the page says so, comes back by itself and begins anew."""
    post(CONNECTION)
    expect(lines(page)).to_have_count(1)
    port = echo.port
    echo.stop()
    expect(page.locator("#connection")).to_have_text("connection lost, trying again")
    with EchoServer(port=port, label="again") as again:
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.get_by_text("Nothing has come yet")).to_be_visible()
        assert again.received.requests() == []


def test_dark(browser: Browser, echo: EchoServer) -> None:
    """The page is light or dark as the system is."""
    grounds = {}
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as context:
            page = context.new_page()
            page.goto(f"{echo.url}/")
            grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds == {"light": "rgb(246, 246, 243)", "dark": "rgb(18, 21, 24)"}


def test_without_javascript(browser: Browser, echo: EchoServer, post: Post) -> None:
    """Without JavaScript there are two plain tables and the files, and nothing that cannot work."""
    for _ in range(5):
        post(CONNECTION)
    post({**QUIZ, "value": "x"})
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{echo.url}/")
        rows = page.locator("#still-requests tbody tr")
        expect(rows).to_have_count(6)
        expect(rows.nth(0)).to_contain_text("invalid: value type is incorrect")
        expect(rows.nth(1)).to_contain_text("dup")
        expect(page.locator("#still-cells tbody tr")).to_have_count(1)
        expect(page.locator("#app")).to_be_hidden()
        expect(page.get_by_role("link", name="indicators")).to_be_visible()


def test_narrow_without_javascript(browser: Browser, echo: EchoServer, post: Post) -> None:
    """In a narrow window the wide tables scroll in boxes of their own."""
    post(CONNECTION)
    with browser.new_context(java_script_enabled=False, viewport=PHONE) as context:
        page = context.new_page()
        page.goto(f"{echo.url}/")
        expect(page.locator("#still-requests tbody tr")).to_have_count(1)
        for part in page.locator(".still > *").all():
            box = part.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE["width"]


@pytest.mark.parametrize("window", [PHONE, {"width": 700, "height": 420}])
def test_small_window(page: Page, post: Post, window: ViewportSize) -> None:
    """In a small window the list keeps its place beside the faults, and the page scrolls."""
    page.set_viewport_size(window)
    post(CONNECTION)
    page.locator("#plan").click()
    expect(page.locator("#faults")).to_be_visible()
    for name in ("received", "dropped"):
        expect(page.locator(f"#count-{name} span")).to_be_in_viewport(ratio=1)
    expect(line(page, 1)).to_be_visible()
    line(page, 1).scroll_into_view_if_needed()
    expect(line(page, 1).locator(".measure")).to_be_in_viewport(ratio=1)
    line(page, 1).click()
    expect(page.locator("#detail h2")).to_contain_text("request 1")


def test_narrow_list(page: Page, post: Post) -> None:
    """In a narrow window a line gives the whole verdict its own place, and the keys still move."""
    for value in range(60):
        post({**QUIZ, "value": value})
    post({**QUIZ, "group1": {"chalenge": "CHALLENGE0001"}})
    expect(count(page, "received")).to_have_text("60")
    page.set_viewport_size(PHONE)
    last = line(page, 61)
    for part in (".badge", ".why"):
        expect(last.locator(part)).to_be_in_viewport(ratio=1)
    expect(last.locator(".why")).to_contain_text("Group1 key does not match")
    first, second = last.bounding_box(), line(page, 60).bounding_box()
    assert first is not None
    assert second is not None
    assert first["y"] + first["height"] <= second["y"]
    page.keyboard.press("End")
    expect(line(page, 1)).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1360, "height": 850})
    expect(line(page, 1)).to_be_in_viewport(ratio=0.9)


def fill(received: Received, number: int) -> None:
    """Let so many different indicators have come."""
    for value in range(number):
        content = {**QUIZ, "value": value, "group2": {"quiz_id": f"QUIZ{value:05}"}}
        ruling = Ruling(None, "ok", stored=True, text=json.dumps(content), indicator=content)
        received.add(ruling)


def test_ten_thousand(page: Page, echo: EchoServer, post: Post) -> None:
    """With 10,000 indicators only the lines in sight are in the document, and all can be found."""
    fill(echo.received, MANY)
    expect(count(page, "received")).to_have_text("10,000")
    expect(page.locator("#memory")).to_have_text("10,000 requests listed")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    assert lines(page).count() < 50
    page.locator("#filter").fill("group:quiz0999")
    expect(page.locator("#shown")).to_have_text("10 of 10,000")
    assert listed(page)[0] == 10_000
    page.locator("#filter").fill("")
    page.locator("#list").focus()
    page.keyboard.press("End")
    expect(line(page, 1)).to_be_in_viewport()
    post(CONNECTION)
    expect(page.locator("#memory")).to_have_text("10,001 requests listed")
    expect(line(page, 1)).to_be_in_viewport()
    assert page.evaluate("document.querySelectorAll('*').length") < nodes + 500


COUNTING = """() => {
  window.calls = {};
  for (const [kind, name] of [
    [String, "toLowerCase"], [String, "includes"], [Array, "join"], [Document, "createElement"],
  ]) {
    const own = kind.prototype[name];
    window.calls[name] = 0;
    kind.prototype[name] = function (...given) {
      window.calls[name] += 1;
      return own.apply(this, given);
    };
  }
}"""


def test_what_a_filter_costs(page: Page, echo: EchoServer) -> None:
    """Of each request a filter compares each of its terms once; only lines in sight are made."""
    fill(echo.received, MANY)
    expect(page.locator("#memory")).to_have_text("10,000 requests listed")
    page.evaluate(COUNTING)
    page.locator("#filter").fill("group:quiz0999 measure:stars")
    expect(page.locator("#shown")).to_have_text("10 of 10,000")
    page.locator("#filter").fill("verdict:ok")
    expect(page.locator("#shown")).to_have_text("10,000 of 10,000")
    calls = page.evaluate("window.calls")
    assert MANY <= calls.pop("includes") < 3.1 * MANY
    assert max(calls.values()) < 0.2 * MANY, calls


def test_more_than_it_lists(page: Page, echo: EchoServer) -> None:
    """Beyond 20,000 requests the oldest leave the list, and their number is told."""
    fill(echo.received, 20_500)
    expect(count(page, "received")).to_have_text("20,500")
    expect(page.locator("#memory")).to_have_text(
        re.compile("20,000 requests listed · [0-9]+ older ones not listed here")
    )


def test_dropped(browser: Browser) -> None:
    """What the server dropped from its memory is told."""
    with EchoServer(most_records=100) as echo, browser.new_context() as context:
        fill(echo.received, 150)
        page = context.new_page()
        page.goto(f"{echo.url}/")
        expect(count(page, "dropped")).to_have_text("50")
        expect(page.locator("#memory")).to_contain_text(
            "50 older indicators dropped from the server"
        )
