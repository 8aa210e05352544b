#!/usr/bin/env python3
"""The report in a real browser: page_test.py PROGRAM [--screenshots DIR MODEL]

The page must choose what the program chooses, show data as text, say what is missing, send no request, and be usable on a
phone and by keyboard. With --screenshots it draws the report of MODEL instead, for people to look at.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "apreqel"
HOSTILE = '<script>document.title="taken"</script><img src=x onerror="document.title=\'taken\'">'


def browser(folder, *arguments):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     f"--user-data-dir={folder}/profile", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def profile(layers, costs, name="a model", model="m"):
    return {"schema": "apreqel.profile/1", "model": model, "model_name": name, "layers": layers, "embedding_type": "q6_K",
            "types": [{"type": type, "memory_bytes": memory, "latency_ms": latency, "perplexity": perplexity}
                      for type, memory, latency, perplexity in costs]}


def scores(layers, name="a model", model="m"):
    return {"schema": "apreqel.scores/1", "model": model, "model_name": name,
            "layers": [{"layer": f"blk.{l // 2}.{'ffn' if l % 2 else 'attn'}", "score": (l * 7919) % 101 - 50,
                        "mean_similarity": 0.5 + (l * 31 % 17) / 40} for l in range(layers)]}


FIVE = [("q3_K", 3_900_000, 2.31, 21.4), ("q4_K", 4_600_000, 1.82, 19.9), ("q5_K", 5_300_000, 2.05, 19.31),
        ("q6_K", 6_100_000, 2.63, 19.2), ("q8_0", 7_800_000, 1.97, 19.17)]


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="apreqel-report-"))
        cls.driver = browser(cls.folder)

    @classmethod
    def tearDownClass(cls):
        cls.driver.quit()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def workspace(self, name, **artifacts):
        folder = self.folder / f"{name}.gguf.apreqel"
        folder.mkdir()
        for artifact, content in artifacts.items():
            (folder / f"{artifact}.json").write_text(json.dumps(content))
        return folder

    def open(self, folder, width=1200, height=900):
        subprocess.run([PROGRAM, "report", "-C", folder], check=True, capture_output=True)
        self.driver.set_window_size(width, height)
        self.driver.get((folder / "report.html").as_uri())
        errors = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        self.assertEqual(errors, [])

    def set(self, metric, value):
        self.driver.execute_script("const input = document.getElementById(arguments[0]); input.value = arguments[1];"
                                   "input.dispatchEvent(new Event('input'))", metric, value)

    def chosen(self):
        return json.loads(self.driver.find_element(By.ID, "plan").get_attribute("data-plan"))

    def text(self, id):
        return self.driver.find_element(By.ID, id).text

    def compare(self, folder, weights, *flags):
        for key, weight in zip(("memory", "latency", "accuracy"), weights):
            self.set(f"weight-{key}", weight)
        planned = json.loads(subprocess.run([PROGRAM, "plan", "-C", folder, "--json", "--weights", ",".join(map(str, weights)), *flags],
                                            check=True, capture_output=True, text=True).stdout)
        chosen = self.chosen()
        self.assertEqual(chosen["counts"], list(planned["distribution"].values()), weights)
        self.assertEqual(chosen["allocation"], [entry["type"] for entry in planned["allocation"]], weights)

    WEIGHTS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.33, 0.33, 0.33), (0.2, 0.6, 0.2), (0.7, 0.2, 0.1), (0.1, 0.15, 0.75),
               (0.5, 0.5, 0), (0.01, 0.98, 0.37)]

    def test_the_page_chooses_what_the_program_chooses(self):
        folder = self.workspace("sixteen", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder)
        for weights in self.WEIGHTS:
            self.compare(folder, weights)

    def test_the_page_chooses_what_the_program_chooses_among_814385(self):
        folder = self.workspace("sixty-four", profile=profile(64, FIVE), scores=scores(64))
        self.open(folder)
        for weights in self.WEIGHTS[3:6]:
            self.compare(folder, weights)

    def test_one_layer_one_type_and_equal_metrics_have_a_plan(self):
        equal = [(type, 5_000_000, 2, 20) for type, *_ in FIVE[:3]]
        for name, layers, costs in (("one-layer", 1, FIVE), ("one-type", 16, FIVE[:1]), ("equal", 16, equal)):
            folder = self.workspace(name, profile=profile(layers, costs), scores=scores(layers))
            self.open(folder)
            self.compare(folder, (0.3, 0.3, 0.4))

    def test_the_page_chooses_what_the_program_chooses_on_the_front(self):
        sensitivity = {"schema": "apreqel.sensitivity/1", "model": "m", "embedding_type": "q6_K", "fixed_bytes": 500_000,
                       "types": [type for type, *_ in FIVE],
                       "layers": [{"layer": layer["layer"], "parameters": 100_000 + 150_000 * (l % 2),
                                   "probes": [{"memory_bytes": int((100_000 + 150_000 * (l % 2)) * bits / 8), "measured": True,
                                               "kl_divergence": 0.001 * (1 + l * 7919 % 11) * 4 ** (3 - bits)}
                                              for bits in (3.4375, 4.5, 5.5, 6.5625, 8.5)]}
                                  for l, layer in enumerate(scores(10)["layers"])]}
        folder = self.workspace("front", profile=profile(10, FIVE), scores=scores(10), sensitivity=sensitivity)
        self.open(folder)
        self.driver.execute_script("const method = document.getElementById('method'); method.value = 'front';"
                                   "method.dispatchEvent(new Event('change'))")
        for weights in self.WEIGHTS:
            self.compare(folder, weights, "--method", "front")
        self.set("limit-memory", 1.5)
        self.compare(folder, (0.1, 0.2, 0.7), "--method", "front", "--max-memory", str(1.5 * 1048576))

    def test_limits_bind_and_impossible_ones_are_said(self):
        folder = self.workspace("limits", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder)
        for key, weight in (("memory", 0), ("latency", 0), ("accuracy", 1)):
            self.set(f"weight-{key}", weight)
        self.assertEqual(self.chosen()["counts"][4], 16)
        self.set("limit-memory", 5)
        counts = self.chosen()["counts"]
        self.assertLessEqual(sum(count * cost[1] for count, cost in zip(counts, FIVE)) / 16, 5 * 1048576)
        self.assertIn("plan.json", self.text("command"))
        self.set("limit-memory", 1)
        self.assertIn("No distribution keeps these limits", self.text("plan"))
        self.set("limit-memory", "")
        for key in ("memory", "latency", "accuracy"):
            self.set(f"weight-{key}", 0)
        self.assertIn("All weights are 0", self.text("plan"))

    def test_data_from_files_is_shown_as_text(self):
        named = profile(4, [(HOSTILE, 5_000_000, 2, 20), *FIVE[1:2]], HOSTILE)
        named["types"][0]["bits_per_weight"] = 3
        folder = self.workspace("hostile", profile=named, scores=scores(4, HOSTILE))
        self.open(folder)
        self.assertEqual(self.text("model"), HOSTILE)
        self.assertNotEqual(self.driver.title, "taken")
        self.assertEqual(self.driver.find_elements(By.CSS_SELECTOR, "main img, main script"), [])

    def test_what_has_not_been_run_says_so(self):
        folder = self.workspace("scored only", scores=scores(4))
        self.open(folder)
        self.assertIn("Not run yet: apreqel profile 'scored only.gguf'", self.text("uniform"))
        self.assertIn("Not run yet: apreqel study", self.text("study"))
        self.assertIn("Not run yet: apreqel run", self.text("explorer"))
        self.assertNotIn("Not run yet", self.text("contribution"))

    def test_no_request_leaves_the_page(self):
        folder = self.workspace("offline", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder)
        self.assertEqual(self.driver.execute_script("return performance.getEntriesByType('resource').length"), 0)
        policy = self.driver.find_element(By.CSS_SELECTOR, "meta[http-equiv]").get_attribute("content")
        self.assertIn("default-src 'none'", policy)

    def test_it_fits_a_phone_and_obeys_the_keyboard(self):
        folder = self.workspace("phone", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder, 500, 900)  # the narrowest window the browser makes; the body is made narrower
        self.driver.execute_script("document.documentElement.style.width = '360px'")
        self.assertLessEqual(self.driver.execute_script("return document.body.scrollWidth"), 360)
        slider = self.driver.find_element(By.ID, "weight-latency")
        before = float(slider.get_attribute("value"))
        slider.send_keys(Keys.ARROW_RIGHT)
        self.assertAlmostEqual(float(slider.get_attribute("value")), before + 0.01)
        button = self.driver.find_element(By.CSS_SELECTOR, "#presets button:nth-child(3)")
        button.send_keys(Keys.ENTER)
        self.assertEqual(button.get_attribute("aria-pressed"), "true")

    def test_every_chart_is_described_and_drawn(self):
        folder = self.workspace("charts", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder)
        charts = self.driver.find_elements(By.CSS_SELECTOR, "#explorer .chart svg, #contribution svg, #uniform svg")
        self.assertEqual(len(charts), 6)
        for chart in charts:
            marks = chart.find_elements(By.CSS_SELECTOR, ".role-mark path")
            self.assertGreater(len(marks), 0)
        described = self.driver.find_elements(By.CSS_SELECTOR, ".chart [aria-label]")
        self.assertGreaterEqual(len(described), 6)


def screenshots(folder, model):
    """Light, dark, phone and print pictures of the report of `model`."""
    folder = pathlib.Path(folder)
    page = folder / "report.html"
    subprocess.run([PROGRAM, "report", model, "-o", page, "--force"], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        driver = browser(scratch, "--hide-scrollbars")
        for name, width, dark, media in (("light", 1200, False, ""), ("dark", 1200, True, ""), ("phone", 390, False, ""),
                                         ("print", 800, False, "print")):
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                   {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
            driver.get(page.resolve().as_uri())
            height = driver.execute_script("return document.documentElement.scrollHeight")
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                   {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
            driver.get_screenshot_as_file(str(folder / f"{name}.png"))
        driver.quit()


if __name__ == "__main__":
    os.environ["SE_OFFLINE"] = "true"
    if "--screenshots" in sys.argv:
        screenshots(*sys.argv[3:5])
    else:
        unittest.main(argv=sys.argv[:1])
