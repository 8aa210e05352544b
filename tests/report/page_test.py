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
    return {"schema": "apreqel.profile/1", "model": model, "model_name": name, "layers": layers,
            "types": [{"type": type, "memory_bytes": memory, "latency_ms": latency, "perplexity": perplexity}
                      for type, memory, latency, perplexity in costs]}


def scores(layers, name="a model", model="m"):
    return {"schema": "apreqel.scores/1", "model": model, "model_name": name,
            "layers": [{"layer": f"blk.{l // 2}.{'ffn' if l % 2 else 'attn'}", "score": (l * 7919) % 101 - 50,
                        "mean_similarity": 0.5 + (l * 31 % 17) / 40} for l in range(layers)]}


def sensitivity(layers, costs):
    """Groups of two sizes, and an embedding of the most precise type."""
    def group(name, parameters, divergence):
        bits = [3.4375 + 5 * i / len(costs) for i in range(len(costs))]
        return {"group": name, "parameters": parameters,
                "probes": [{"memory_bytes": int(parameters * b / 8), "measured": True, "kl_divergence": divergence * 4 ** (3 - b)}
                           for b in bits]}
    return {"schema": "apreqel.sensitivity/2", "model": "m", "fixed_bytes": 20_000, "types": [type for type, *_ in costs],
            "groups": [*(group(f"blk.{l // 2}.{'ffn' if l % 2 else 'attn'}", 100_000 + 150_000 * (l % 2),
                               0.001 * (1 + l * 7919 % 11)) for l in range(layers)),
                       {**group("embedding", 600_000, 0.002), "fixed_type": costs[-1][0]}]}


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
        cls.driver.set_script_timeout(120)

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

    def choose_by(self, method):
        self.driver.execute_script("const method = document.getElementById('method'); method.value = arguments[0];"
                                   "method.dispatchEvent(new Event('change'))", method)

    def chosen(self):
        return json.loads(self.driver.find_element(By.ID, "plan").get_attribute("data-plan"))

    def text(self, id):
        return self.driver.find_element(By.ID, id).text

    def content(self, id):
        """Also of what is folded away."""
        return self.driver.find_element(By.ID, id).get_property("textContent")

    def compare(self, folder, weights, *flags):
        for key, weight in zip(("memory", "latency", "accuracy"), weights):
            self.set(f"weight-{key}", weight)
        planned = json.loads(subprocess.run([PROGRAM, "plan", "-C", folder, "--json", "--weights", ",".join(map(str, weights)), *flags],
                                            check=True, capture_output=True, text=True).stdout)
        chosen = self.chosen()
        self.assertEqual(chosen["counts"], list(planned["distribution"].values()), weights)
        self.assertEqual(chosen["allocation"], [entry["type"] for entry in planned["allocation"]], weights)
        return planned

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

    def test_the_page_chooses_within_limits_what_an_enumeration_chooses_by_any_number_of_criteria(self):
        self.open(self.workspace("enumerated", profile=profile(4, FIVE), scores=scores(4)))
        self.assertEqual(self.driver.execute_script("""
            let seed = 1;
            const random = () => (seed = seed * 16807 % 2147483647) / 2147483647;
            const some = values => values[Math.floor(random() * values.length)];
            const shapes = [() => [1 + random(), 1 + random(), 1 + random()], () => [some([1, 2]), some([1, 2, 3]), some([1, 2])],
              s => [1 + s, 3 - 2 * s, 1 + s / 2], s => [2, 1 + random(), 3 - s], s => [1e9 * (0.4 + s), 1 + random(), 7 + Math.exp(-6 * s)],
              () => [1 + random()], s => [1 + s, some([1, 2])], s => [1 + s, 2 - s, 1 + random(), 0.3 + random()],
              s => [s, 2 - s, 1e-4 * random(), 0, some([1, 3])]];
            const enumerated = (ranker, weights, limits) => {
              const counts = ranker.costs.map(() => 0);
              let winner = null;
              (function visit(type, left) {
                for (let count = type + 1 < counts.length ? 0 : left; count <= left; ++count) {
                  counts[type] = count;
                  if (type + 1 < counts.length) { visit(type + 1, left - count); continue; }
                  const estimate = weights.map((_, j) => counts.reduce((sum, n, i) => sum + n / ranker.layers * ranker.costs[i][j], 0));
                  if (estimate.some((value, j) => value > limits[j])) continue;
                  const candidate = {counts: [...counts], estimate, closeness: ranker.closeness(estimate, weights)};
                  if (!winner || ranker.better(candidate, winner)) winner = candidate;
                }
              })(0, ranker.layers);
              return winner && winner.counts;
            };
            const wrong = [];
            let infeasible = 0;
            for (let trial = 0; trial < 1400; ++trial) {
              const types = 1 + Math.floor(5 * random()), layers = 1 + Math.floor((types > 3 ? 9 : 25) * random());
              const costs = Array.from({length: types}, (_, i) => shapes[trial % shapes.length](i / types));
              const weights = costs[0].map(() => random()).map(weight => random() < 0.2 ? 0 : weight);
              if (weights.every(weight => weight === 0)) continue;
              const limits = weights.map((_, j) => {
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
        folder = self.workspace("front", profile=profile(10, FIVE), scores=scores(10), sensitivity=sensitivity(10, FIVE))
        self.open(folder)
        self.choose_by("front")
        for weights in self.WEIGHTS:
            self.compare(folder, weights, "--method", "front")
        for field, flag, scale in (("memory_bytes", "--max-memory", 1 / 1048576), ("latency_ms", "--max-latency", 1),
                                   ("kl_divergence", "--max-kld", 1), ("perplexity_increase", "--max-perplexity-increase", 100)):
            weights = (0.6, 0.3, 0.1) if scale >= 1 else (0.1, 0.2, 0.7)
            free = self.compare(folder, weights, "--method", "front")
            limit = round(0.97 * free["estimate"][field], 6)
            self.set(f"limit-{field}", limit * scale)
            bound = self.compare(folder, weights, "--method", "front", flag, str(limit))
            self.assertLessEqual(bound["estimate"][field], limit)
            self.assertIn(flag, self.text("command"))
            self.set(f"limit-{field}", "")

    def test_the_page_chooses_what_the_program_chooses_on_the_front_of_very_many_types(self):
        types = [(f"type-{i}", 5_000_000 + 40_000 * (i * 37 % 90), 2 + 0.01 * (i * 53 % 90), 20 + 0.02 * (i * 71 % 90))
                 for i in range(90)]
        many = profile(4, types)
        for i, type in enumerate(many["types"]):
            type["bits_per_weight"] = 2 + i / 16
        folder = self.workspace("very-many", profile=many, sensitivity=sensitivity(4, types))
        self.open(folder)
        for weights in self.WEIGHTS:
            self.compare(folder, weights, "--method", "front")

    def test_a_criterion_of_the_program_is_a_slider_a_limit_a_picture_and_a_column(self):
        folder = self.workspace("energy", profile=profile(16, FIVE), scores=scores(16))
        self.open(folder)
        page = folder / "report.html"
        before, start, rest = page.read_text().partition('<script type="application/json" id="data">')
        text, end, after = rest.partition("</script>")
        data = json.loads(text)
        data["criteria"].append({"name": "energy", "weight": "energy", "limit": "max-energy", "field": "energy_j",
                                 "unit": "J/token", "scale": 1, "digits": 2})
        data["objectives"]["paper"].append("energy_j")
        for type, energy in zip(data["profile"]["types"], (5, 4, 3, 2, 1)):
            type["metrics"]["energy_j"] = energy
        page.write_text(before + start + json.dumps(data).replace("<", "\\u003c") + end + after)
        self.driver.get(page.as_uri())
        for weight in ("memory", "latency", "accuracy"):
            self.set(f"weight-{weight}", 0)
        self.set("weight-energy", 1)
        self.assertEqual(self.chosen()["counts"], [0, 0, 0, 0, 16])
        self.assertIn("energy=1", self.text("command"))
        self.assertIn("Energy (J/token)", self.content("estimates"))
        self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#places svg")), 6)
        self.set("weight-memory", 1)
        self.set("weight-energy", 0)
        self.set("limit-energy_j", 4.5)
        counts = self.chosen()["counts"]
        self.assertLessEqual(sum(n * energy for n, energy in zip(counts, (5, 4, 3, 2, 1))) / 16, 4.5)
        self.assertGreater(counts[0], 0)

    def test_what_was_shipped_and_why_is_said(self):
        folder = self.workspace("shipped", profile=profile(16, FIVE), scores=scores(16))
        plan = json.loads(subprocess.run([PROGRAM, "plan", "-C", folder, "--json"], check=True, capture_output=True, text=True).stdout)
        measured = lambda name: {"name": name, "memory_bytes": 4_600_000, "latency_ms": 1.8, "perplexity": 20}  # noqa: E731
        run = {"schema": "apreqel.run/1", "plan": plan, "reference": {**measured("reference"), "perplexity": 19},
               "uniform": [measured("q4_K")], "mix": measured("mixed.gguf"), "tried": [measured("plan 1")],
               "because": "all q4_K, the closest of 2 as measured (0.9000)", "limits_kept": False}
        (folder / "run.json").write_text(json.dumps(run))
        self.open(folder)
        self.assertEqual(self.text("shipped"), "Shipped: mixed.gguf, because: all q4_K, the closest of 2 as measured (0.9000). "
                         "As measured it does not keep the limits.")
        self.assertIn("plan 1, not shipped", self.content("result-table"))
        self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#choices svg")), 2)
        self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#strip td[title]")), 16)
        self.assertFalse(self.driver.find_element(By.ID, "contests-title").is_displayed())
        del run["tried"]
        (folder / "run.json").write_text(json.dumps({**run, "because": "the paper's method", "limits_kept": True}))
        self.open(folder)
        self.assertEqual(self.text("shipped"), "Shipped: mixed.gguf, because: the paper's method.")

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
        self.assertIn("--method paper", self.text("command"))
        folder = self.workspace("three", profile=profile(4, FIVE[:3]), scores=scores(4))
        self.open(folder)
        self.assertIn("--types q3_K,q4_K,q5_K ", self.text("command"))
        weighed = [(f"{name}+imatrix", *costs) for name, *costs in FIVE[:2]]
        folder = self.workspace("weighed", profile=profile(4, weighed), scores=scores(4))
        self.open(folder)
        self.assertIn("--plan plan.json", self.text("command"))
        self.assertIn("--imatrix auto", self.text("command"))

    def test_a_study_is_drawn_from_what_the_paper_compares_by(self):
        measured = [{"name": type, "memory_bytes": memory, "latency_ms": latency, "perplexity": perplexity}
                    for type, memory, latency, perplexity in FIVE]
        mix = {"name": "mix", "memory_bytes": 4_300_000, "latency_ms": 1.9, "perplexity": 19.8,
               "allocation": {layer["layer"]: "q4_K" for layer in scores(4)["layers"]}}
        setting = {"category": "fairness", "weights": {"memory": 1, "latency": 1, "accuracy": 1}, "distribution": {"q4_K": 4},
                   "closeness": 0.7, "estimate": {"memory_bytes": 4_400_000, "latency_ms": 1.8, "perplexity": 19.9}}
        study = {"schema": "apreqel.study/1", "model": "m", "reference": {**measured[4], "name": "reference"}, "uniform": measured,
                 "settings": [setting], "models": [mix], "orders": [{"order": "contribution", "models": [0]}]}
        folder = self.workspace("studied", profile=profile(4, FIVE), scores=scores(4), study=study)
        self.open(folder)
        for place, pictures in (("fronts", 3), ("errors", 3), ("bits-chart", 1), ("orders-chart", 1)):
            self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, f"#{place} svg")), pictures, place)
        self.assertIn("fairness", self.content("tables"))
        self.assertFalse(self.driver.find_element(By.ID, "chosen").is_displayed())

    def test_rivals_are_named_and_told_apart_from_ours(self):
        folder = self.workspace("rivals", profile=profile(16, FIVE), scores=scores(16))
        plan = json.loads(subprocess.run([PROGRAM, "plan", "-C", folder, "--json"], check=True, capture_output=True, text=True).stdout)

        def measured(name, memory, latency, divergence):
            rounds = [latency * (1 + share / 100) for share in (-1, 0, 1, -1, 0, 1)]
            return {"name": name, "memory_bytes": memory, "latency_ms": latency, "latency_ms_interval": [rounds[0], rounds[2]],
                    "latency_ms_samples": rounds, "perplexity": 20 + divergence, "tokens": 60, "kl_divergence": divergence,
                    "kl_divergence_tokens": 60, "nll_by_chunk": [30 + 10 * divergence] * 6,
                    "kl_divergence_by_chunk": [10 * divergence * chunk for chunk in range(1, 7)]}

        run = {"schema": "apreqel.run/1", "plan": plan, "reference": measured("reference", 9_000_000, 3, 0), "uniform": [],
               "mix": measured("mixed.gguf", 4_600_000, 1.8, 0.03), "tried": [measured("plan 1", 4_500_000, 1.8, 0.05)],
               "rivals": [measured("Q4_K_M", 4_600_000, 1.8, 0.04), measured("Q4_0", 4_500_000, 1.7, 0.06)]}
        (folder / "run.json").write_text(json.dumps(run))
        self.open(folder)
        lines = self.text("beside").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith("Beside Q4_K_M: better. 1.000 of its memory, 1.000 [1.000, 1.000] of its ms/token, "
                                            "0.750 [0.750, 0.750] of its KL divergence, −log p of the text +0.0300 off full "
                                            "precision's, its +0.0400 (± 0.0000 nats per token)."), lines[0])
        self.assertTrue(lines[1].startswith("Beside Q4_0: larger, slower. 1.022 of its memory"), lines[1])
        for picture in self.driver.find_elements(By.CSS_SELECTOR, "#choices svg"):
            names = [mark.get_property("textContent") for mark in picture.find_elements(By.CSS_SELECTOR, ".mark-text.role-mark text")]
            self.assertTrue({"Q4_K_M", "Q4_0", "mixed.gguf"} <= set(names), names)
        self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#contests svg")), 1)
        self.assertEqual(len(self.driver.find_elements(By.CSS_SELECTOR, "#result-chart svg")), 1)
        self.assertIn("Q4_K_M, the rival", self.content("result-table"))

    def test_long_tables_are_folded_and_short_ones_are_not(self):
        for name, types, is_open in (("short", FIVE, True), ("long", TWELVE, False)):
            folder = self.workspace(name, profile=profile(16, types), scores=scores(16))
            self.open(folder)
            for id in ("estimates", "uniform-table"):
                table = self.driver.find_element(By.ID, id)
                self.assertEqual(table.is_displayed(), is_open, id)
                self.assertIn(types[-1][0], self.content(id))
        self.driver.find_element(By.CSS_SELECTOR, "#explorer summary").click()
        self.set("weight-memory", 0.9)  # what is opened stays open
        self.assertTrue(self.driver.find_element(By.ID, "estimates").is_displayed())

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
        self.driver.execute_script("document.querySelectorAll('details').forEach(details => { details.open = true; })")
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
        self.assertEqual(len(charts), 5)
        for chart in charts:
            marks = chart.find_elements(By.CSS_SELECTOR, ".role-mark path")
            self.assertGreater(len(marks), 0)
        described = self.driver.find_elements(By.CSS_SELECTOR, ".chart [aria-label]")
        self.assertGreaterEqual(len(described), 5)
        cells = self.driver.find_elements(By.CSS_SELECTOR, "#layers td[title]")
        self.assertEqual(len(cells), 16)
        self.assertEqual(len({cell.value_of_css_property("background-color") for cell in cells}),
                         len(set(self.chosen()["allocation"])))


def screenshots(folder, model):
    """Light, dark, phone and print pictures of the report of `model`."""
    folder = pathlib.Path(folder)
    page = folder / "report.html"
    subprocess.run([PROGRAM, "report", model, "-o", page, "--force"], check=True)
    with tempfile.TemporaryDirectory() as scratch:
        driver = browser(scratch, "--hide-scrollbars")
        for name, width, dark, media in (("light", 1440, False, ""), ("dark", 1440, True, ""), ("phone", 390, False, ""),
                                         ("phone-dark", 390, True, ""), ("print", 800, False, "print")):
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
