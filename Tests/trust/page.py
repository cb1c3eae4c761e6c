#!/usr/bin/env python3
"""The page at / in Debian's Chromium: a chat with streaming, stop and edit, the schema box, probabilities, storage, a phone's width, light and
dark. Needs chromium, chromium-driver (apt) and selenium (pip); python Tests/trust/page.py [FOLDER for screenshots]."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests/python")]

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402
from served import served  # noqa: E402

SCHEMA = '{"type": "object", "properties": {"name": {"enum": ["Lily", "Tom"]}}, "required": ["name"], "additionalProperties": false}'


def browser(dark, width=1280):
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking", f"--window-size={width},900"):
        options.add_argument(argument)
    if dark:
        options.add_argument("--force-dark-mode")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
    return driver


class Page:
    def __init__(self, driver, url, folder):
        self.driver, self.url, self.folder = driver, url, folder
        driver.get(url)
        self.wait(lambda: self.at("#model option"))

    def wait(self, what, seconds=60):
        return WebDriverWait(self.driver, seconds, 0.05, (StaleElementReferenceException,)).until(lambda _: what())

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def at(self, css):
        return (self.all(css) or [None])[-1]

    def idle(self):
        self.wait(lambda: not self.at("#stop").is_displayed())
        time.sleep(0.2)  # the last frame

    def say(self, text):
        self.at("#text").send_keys(text, Keys.ENTER)

    def picture(self, name):
        self.driver.save_screenshot(str(self.folder / f"{name}.png"))

    def hosts(self):
        """Of all requests that the page made."""
        out = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if url.startswith(("http:", "https:", "ws:")):
                    out.add("/".join(url.split("/")[:3]))
        return out

    def problems(self):
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


def wide(server, folder):
    driver = browser(dark=False)
    try:
        page = Page(driver, server.url, folder)
        page.at("#max_tokens").send_keys("40", Keys.TAB)
        page.say("Tell me of a cat.")
        page.wait(lambda: page.at("article.assistant .said") and page.at("article.assistant .said").text)
        page.idle()
        assert page.at("#speed").text.endswith("tokens/s") and "/ 1024" in page.at("#context-text").text, (page.at("#speed").text, page.at("#context-text").text)
        # stop
        page.at("#max_tokens").clear()
        page.at("#max_tokens").send_keys("900", Keys.TAB)
        page.say("Tell me of all cats.")
        page.wait(lambda: len(page.all("article.assistant")) == 2 and page.at("article.assistant .said").text)
        driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        page.idle()
        stopped = "stopped" in page.at("article.assistant .acts").text or "no more" in page.at("article.assistant .acts").text
        assert stopped or page.at("article.assistant .said").text
        # edit
        page.at("#max_tokens").clear()
        page.at("#max_tokens").send_keys("10", Keys.TAB)
        page.all("article.user .acts button")[0].click()
        box = page.at("article textarea")
        box.clear()
        box.send_keys("Tell me of a dog.", Keys.CONTROL + Keys.ENTER)
        page.idle()
        page.wait(lambda: len(page.all("article")) == 2)
        assert page.at("article.user .said").text == "Tell me of a dog."
        # probabilities
        page.at("#probabilities").click()
        page.say("Go on.")
        page.idle()
        page.wait(lambda: page.at(".tokens span"))
        webdriver.ActionChains(driver).move_to_element(page.all(".tokens span")[0]).perform()
        page.wait(lambda: page.at("#best").is_displayed())
        assert page.at("#best").text.count("%") == 5
        page.picture("light-probabilities")
        page.at("#probabilities").click()
        # the schema box
        page.at("#schema").send_keys('{"type": "hiccup"}')
        page.wait(lambda: page.at("#schema-state").get_attribute("class") == "bad" and page.at("#schema-state").text)
        page.at("#schema").clear()
        page.at("#schema").send_keys(SCHEMA)
        page.wait(lambda: page.at("#schema-state").get_attribute("class") == "good")
        page.at("#max_tokens").clear()
        page.at("#max_tokens").send_keys("300", Keys.TAB)
        page.say("Who?")
        page.idle()
        page.wait(lambda: "last answer" in page.at("#schema-state").text)
        page.picture("light-schema")
        # what a model says is no HTML
        evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>[a](javascript:document.title=3) **bold** <b>no</b>'
        shown = driver.execute_script(
            "talk.messages.push({role: 'assistant', content: arguments[0]}); draw(); const s = document.querySelector('article:last-child .said');"
            "return [s.querySelectorAll('img,script,b').length, s.querySelectorAll('strong').length, [...s.querySelectorAll('a')].filter(a => a.protocol === 'javascript:').length, document.title];", evil,
        )  # fmt: skip
        assert shown == [0, 1, 0, "llama2swift"], shown
        assert driver.execute_script("try { document.body.innerHTML = '<i>x</i>'; return 'taken' } catch (e) { return e.name }") == "TypeError"
        # kept, exported, imported
        exported = driver.execute_script("return store.exported()")
        assert driver.execute_script("return store.imported(arguments[0])", exported) >= 1
        for wrong in ("{}", "[]", '{"talks": [{"messages": [{"role": "x"}]}]}', "no"):
            assert driver.execute_script("try { store.imported(arguments[0]); return '' } catch (e) { return e.message }", wrong)
        driver.refresh()
        page.wait(lambda: page.at("#model option"))
        assert page.all("#talk-list li") and page.at("article.user .said")
        driver.switch_to.active_element.send_keys(Keys.ALT + "n")
        page.wait(lambda: not page.all("article"))
        assert page.hosts() <= {server.url}, page.hosts()
        severe = [p for p in page.problems() if "TrustedHTML" not in p]
        assert not severe, severe
    finally:
        driver.quit()


def narrow(server, folder):
    driver = browser(dark=True)
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
        page = Page(driver, server.url, folder)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        page.at("#show-settings").click()
        page.wait(lambda: page.at("#max_tokens").is_displayed())
        page.picture("phone-settings")
        page.at("#max_tokens").send_keys("40", Keys.TAB)
        page.at("#show-settings").click()
        page.say("Tell me of a cat.")
        page.idle()
        page.wait(lambda: page.at("article.assistant .said").text)
        page.picture("phone-dark")
        cut = "return [...document.querySelectorAll('header > *, main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
        assert driver.execute_script(cut) == 0
        back = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert back == "rgb(22, 26, 24)", back
    finally:
        driver.quit()


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="llama2swift-page-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("LLAMA2SWIFT_LIBRARY", str(ROOT / ".build/release/libllama2swift.so"))
    began = time.monotonic()
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 1024, "--temperature", 0.8, "--seed", 7) as server:
        wide(server, folder)
        narrow(server, folder)
    print("TRUST | page | chat, stop, edit, schema box, probabilities, storage, phone and dark in Chromium; no request elsewhere | page.py | one run")
    print(f"the page: everything in {time.monotonic() - began:.0f} s; screenshots in {folder}")


if __name__ == "__main__":
    main()
