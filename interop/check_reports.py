"""Checks reports against the schemas of their forms: check_reports.py FOLDER, with verdict.json, report.sarif, report.xml
and card.md in it. Needs interop/requirements.txt."""
import json
import sys
from pathlib import Path

import jsonschema
import xmlschema
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

here = Path(__file__).parent
folder = Path(sys.argv[1])


def check(name, schema):
    jsonschema.validate(json.loads((folder / name).read_text()), json.loads(schema.read_text()))
    print(f"valid: {name}")


check("verdict.json", here.parent / "schemas" / "verdict.schema.json")
check("report.sarif", here / "schemas" / "sarif-2.1.0.json")
xmlschema.XMLSchema(here / "schemas" / "junit-10.xsd").validate(folder / "report.xml")
print("valid: report.xml")
_, front, _ = (folder / "card.md").read_text().split("---\n", 2)
data = yaml.safe_load(front)
name, results = model_index_to_eval_results(data["model-index"])
assert results and all(isinstance(result.metric_value, float) for result in results), results
print(f"valid: card.md, {len(results)} results of {name}")
