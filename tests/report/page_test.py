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
# Several of one size, latency that is not monotone, perplexity that falls.
TWELVE = [(type, int(1e6 * bits), 1.5 + 0.1 * bits + 0.07 * (i * 5 % 7), 19 + 40 * 2.7 ** -bits)
          for i, (type, bits) in enumerate([("iq2_xxs", 2.0625), ("q2_K", 2.625), ("q3_K", 3.4375), ("iq3_s", 3.4375),
                                            ("iq4_xs", 4.25), ("q4_0", 4.5), ("q4_K", 4.5), ("iq4_nl", 4.5),
                                            ("q5_0", 5.5), ("q5_K", 5.5), ("q6_K", 6.5625), ("q8_0", 8.5)])]


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

    def test_the_page_chooses_what_the_program_chooses_among_more_than_can_be_enumerated(self):
        folder = self.workspace("hundred-sixty", profile=profile(160, TWELVE), scores=scores(160))
        self.open(folder)
        for weights in self.WEIGHTS:
            self.compare(folder, weights)
        for key, weight in (("memory", 0), ("latency", 0.3), ("accuracy", 0.7)):
            self.set(f"weight-{key}", weight)
        self.set("limit-memory_bytes", 4)
        counts = self.chosen()["counts"]
        memory = sum(count * cost[1] for count, cost in zip(counts, TWELVE)) / 160
        self.assertLessEqual(memory, 4 * 1048576)
        self.assertGreater(memory, 0.99 * 4 * 1048576)  # the limit binds

    def test_the_page_chooses_within_limits_what_an_enumeration_chooses(self):
        self.open(self.workspace("enumerated", profile=profile(4, FIVE), scores=scores(4)))
        self.assertEqual(self.driver.execute_script("""
            let seed = 1;
            const random = () => (seed = seed * 16807 % 2147483647) / 2147483647;
            const some = values => values[Math.floor(random() * values.length)];
            const shapes = [() => [1 + random(), 1 + random(), 1 + random()], () => [some([1, 2]), some([1, 2, 3]), some([1, 2])],
              s => [1 + s, 3 - 2 * s, 1 + s / 2], s => [2, 1 + random(), 3 - s], s => [1e9 * (0.4 + s), 1 + random(), 7 + Math.exp(-6 * s)]];
            const enumerated = (ranker, weights, limits) => {
              const counts = ranker.costs.map(() => 0);
              let winner = null;
              (function visit(type, left) {
                for (let count = type + 1 < counts.length ? 0 : left; count <= left; ++count) {
                  counts[type] = count;
                  if (type + 1 < counts.length) { visit(type + 1, left - count); continue; }
                  const estimate = [0, 1, 2].map(j => counts.reduce((sum, n, i) => sum + n / ranker.layers * ranker.costs[i][j], 0));
                  if (estimate.some((value, j) => value > limits[j])) continue;
                  const candidate = {counts: [...counts], estimate, closeness: ranker.closeness(estimate, weights)};
                  if (!winner || ranker.better(candidate, winner)) winner = candidate;
                }
              })(0, ranker.layers);
              return winner && winner.counts;
            };
            const wrong = [];
            let infeasible = 0;
            for (let trial = 0; trial < 2000; ++trial) {
              const types = 1 + Math.floor(5 * random()), layers = 1 + Math.floor((types > 3 ? 9 : 25) * random());
              const costs = Array.from({length: types}, (_, i) => shapes[trial % shapes.length](i / types));
              const weights = [random(), random(), random()].map(weight => random() < 0.2 ? 0 : weight);
              if (weights.every(weight => weight === 0)) continue;
              const limits = [0, 1, 2].map(j => {
                const column = costs.map(cost => cost[j]), low = Math.min(...column), high = Math.max(...column);
                return random() < 0.5 ? Infinity : low + (high - low) * (1.1 * random() - 0.02);
              });
              const ranker = new Ranker(layers, costs);
              const best = ranker.best(weights, limits), expected = enumerated(ranker, weights, limits);
              if (!expected) ++infeasible;
              if (JSON.stringify(best && best.counts) !== JSON.stringify(expected)) wrong.push({layers, costs, weights, limits, best, expected});
            }
            return [wrong, infeasible > 50];
        """), [[], True])

    def test_too_many_nearly_equal_distributions_are_said(self):
        alike = [(type, 5_000_000, 2 + i / 7, 20) for i, (type, *_) in enumerate(TWELVE)]
        folder = self.workspace("alike", profile=profile(160, alike), scores=scores(160))
        self.open(folder)
        for key, weight in (("latency", 0), ("accuracy", 0)):
            self.set(f"weight-{key}", weight)
        self.assertIn("nearly equal", self.text("plan"))
        self.assertIn("apreqel plan -C", self.text("command"))
        self.assertFalse(self.driver.find_element(By.ID, "download").is_enabled())
        self.set("weight-latency", 0.5)
        self.assertEqual(self.chosen()["counts"][0], 160)

    def test_one_layer_one_type_and_equal_metrics_have_a_plan(self):
        equal = [(type, 5_000_000, 2, 20) for type, *_ in FIVE[:3]]
        for name, layers, costs in (("one-layer", 1, FIVE), ("one-type", 16, FIVE[:1]), ("equal", 16, equal)):
            folder = self.workspace(name, profile=profile(layers, costs), scores=scores(layers))
            self.open(folder)
            self.compare(folder, (0.3, 0.3, 0.4))

    def test_the_page_chooses_what_the_program_chooses_on_the_front(self):
        probe = lambda parameters, divergence: [  # noqa: E731
            {"memory_bytes": int(parameters * bits / 8), "measured": True, "kl_divergence": divergence * 4 ** (3 - bits)}
            for bits in (3.4375, 4.5, 5.5, 6.5625, 8.5)]
        sensitivity = {"schema": "apreqel.sensitivity/2", "model": "m", "fixed_bytes": 20_000,
                       "types": [type for type, *_ in FIVE],
                       "groups": [{"group": layer["layer"], "parameters": 100_000 + 150_000 * (l % 2),
                                   "probes": probe(100_000 + 150_000 * (l % 2), 0.001 * (1 + l * 7919 % 11))}
                                  for l, layer in enumerate(scores(10)["layers"])]
                       + [{"group": "embedding", "parameters": 600_000, "fixed_type": "q6_K", "probes": probe(600_000, 0.002)}]}
        folder = self.workspace("front", profile=profile(10, FIVE), scores=scores(10), sensitivity=sensitivity)
        self.open(folder)
        self.driver.execute_script("const method = document.getElementById('method'); method.value = 'front';"
                                   "method.dispatchEvent(new Event('change'))")
        for weights in self.WEIGHTS:
            self.compare(folder, weights, "--method", "front")
        self.set("limit-memory_bytes", 1.5)
        self.compare(folder, (0.1, 0.2, 0.7), "--method", "front", "--max-memory", str(1.5 * 1048576))

    def test_limits_bind_and_impossible_ones_are_said(self):
        folder = self.workspace("limits", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder)
        for key, weight in (("memory", 0), ("latency", 0), ("accuracy", 1)):
            self.set(f"weight-{key}", weight)
        self.assertEqual(self.chosen()["counts"][4], 16)
        self.set("limit-memory_bytes", 5)
        counts = self.chosen()["counts"]
        self.assertLessEqual(sum(count * cost[1] for count, cost in zip(counts, FIVE)) / 16, 5 * 1048576)
        self.assertIn("plan.json", self.text("command"))
        self.set("limit-memory_bytes", 1)
        self.assertIn("No distribution keeps these limits", self.text("plan"))
        self.set("limit-memory_bytes", "")
        for key in ("memory", "latency", "accuracy"):
            self.set(f"weight-{key}", 0)
        self.assertIn("All weights are 0", self.text("plan"))

    def test_the_command_builds_the_plan_that_is_shown(self):
        folder = self.workspace("command", profile=profile(4, FIVE), scores=scores(4))
        self.open(folder)
        self.assertNotIn("--types", self.text("command"))
        folder = self.workspace("three", profile=profile(4, FIVE[:3]), scores=scores(4))
        self.open(folder)
        self.assertIn("--types q3_K,q4_K,q5_K ", self.text("command"))
        weighed = [(f"{name}+imatrix", *costs) for name, *costs in FIVE[:2]]
        folder = self.workspace("weighed", profile=profile(4, weighed), scores=scores(4))
        self.open(folder)
        self.assertIn("--plan plan.json", self.text("command"))
        self.assertIn("--imatrix auto", self.text("command"))

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
            driver.execute_script("const method = document.querySelector('#method option[value=front]');"
                                  "if (method) { method.parentElement.value = 'front';"
                                  "method.parentElement.dispatchEvent(new Event('change')); }")
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
