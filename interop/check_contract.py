"""Checks a contract against the schema of the Open Data Contract Standard: check_contract.py FILE. Needs
interop/requirements.txt."""
import json
import sys
from pathlib import Path

import jsonschema
import yaml

schema = json.loads((Path(__file__).parent / "schemas" / "odcs-3.1.0.json").read_text())
# As YAML 1.1 has it, a date is no text; JSON and the standard have no dates.
contract = json.loads(json.dumps(yaml.safe_load(Path(sys.argv[1]).read_text()), default=str))
jsonschema.validators.validator_for(schema).check_schema(schema)
jsonschema.validate(contract, schema)
print(f"valid: {contract['id']}")
