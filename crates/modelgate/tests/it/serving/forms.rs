//! Every form of a request gives the same answer.

use modelgate_testing::Service;
use serde_json::{Value, json};

use super::{project, row, service};

fn rows() -> Vec<Value> {
    let row = |age: i64, income: Value, region: &str, member: bool| json!({ "age": age, "income": income, "region": region, "member": member });
    vec![
        row(40, json!(2500.5), "south", true),
        row(19, Value::Null, "north", false),
        row(70, json!(1000), "east", true),
    ]
}

fn predicted(service: &Service, path: &str, body: &Value) -> Value {
    service.post(path, body).is(200).json()["predictions"].clone()
}

#[test]
fn every_form_of_a_request_gives_the_same_answer() {
    let project = project();
    let service = service(&project, &[]);
    let rows = rows();
    let native = service.post("/predict/shop", &json!({ "features": rows })).is(200);
    let answer = native.json();
    let expected = &answer["predictions"];
    assert_eq!(expected.as_array().map(Vec::len), Some(3));
    assert_eq!(answer["classes"], json!(["no", "yes"]));
    assert_eq!((&answer["model"], &answer["version"]), (&json!("shop"), &json!("v001")));
    assert_eq!(native.header("modelgate-model-version"), Some("v001"));
    assert_eq!(native.header("modelgate-model-digest"), answer["digest"].as_str());
    for (row, probabilities) in answer["probabilities"].as_array().expect("probabilities").iter().enumerate()
    {
        let numbers: Vec<f64> =
            probabilities.as_array().expect("row").iter().filter_map(Value::as_f64).collect();
        assert!((numbers.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{numbers:?}");
        let class = if numbers[1] > numbers[0] { "yes" } else { "no" };
        assert_eq!(expected[row], class);
    }

    let names = ["age", "income", "region", "member"];
    let cells = |row: &Value| Value::from(names.map(|name| row[name].clone()).to_vec());
    let lists: Vec<Value> = rows.iter().map(cells).collect();
    let column = |name: &str| Value::from(rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>());
    let columns: Value =
        names.iter().map(|name| ((*name).to_owned(), column(name))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(predicted(&service, "/predict", &json!({ "features": lists })), *expected);
    assert_eq!(predicted(&service, "/predict/?model=shop", &json!({ "features": rows })), *expected);
    for path in ["/predict/shop/", "/predict"] {
        assert_eq!(predicted(&service, path, &rows[0])[0], expected[0], "{path}");
    }
    let mut reversed = names;
    reversed.reverse();
    let turned: Vec<Value> =
        rows.iter().map(|row| Value::from(reversed.map(|name| row[name].clone()).to_vec())).collect();
    for body in [
        json!({ "dataframe_split": { "columns": reversed, "data": turned, "index": [0, 1, 2] } }),
        json!({ "dataframe_records": rows }),
        json!({ "instances": rows }),
        json!({ "instances": lists, "params": {} }),
        json!({ "inputs": columns }),
    ] {
        assert_eq!(predicted(&service, "/invocations", &body), *expected, "{body}");
    }
    let csv = "region,age,member,income\nsouth,40,true,2500.5\nnorth,19,false,\neast,70,true,1000\n";
    let reply = service.request(
        "POST",
        "/invocations",
        &[("content-type", "text/csv; charset=utf-8")],
        Some(csv.as_bytes()),
    );
    assert_eq!(reply.is(200).json()["predictions"], *expected);

    let one = service.post("/api/predict", &json!({ "features": rows[1] })).is(200).json();
    assert_eq!(one, json!({ "prediction": expected[1], "model_version": "v001" }));
    let mut odd = rows[0].clone();
    odd["age"] = json!(500);
    let flagged = || {
        let metrics = service.get("/metrics").text;
        let name = "modelgate_flagged_total{model=\"shop\",reason=\"out_of_range\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).unwrap_or_default()
    };
    let before = flagged();
    for (path, body) in [
        ("/predict", json!({ "features": odd })),
        ("/api/predict", json!({ "features": odd })),
        ("/explain/shop", json!({ "features": odd })),
    ] {
        let warnings = service.post(path, &body).is(200).json()["warnings"].clone();
        assert_eq!(
            (&warnings[0]["feature"], &warnings[0]["reason"], &warnings[1]),
            (&json!("age"), &json!("out_of_range"), &Value::Null),
            "{path}: {warnings}"
        );
    }
    // Where the form of the answer has no place for it, it is counted all the same.
    let fixed = service.post("/invocations", &json!({ "instances": [odd] })).is(200).json();
    assert_eq!(fixed.as_object().map(serde_json::Map::len), Some(1), "{fixed}");
    assert_eq!(flagged(), before + 4);
    assert!(service.get("/version").is(200).text.contains('.'));
}

#[test]
fn the_open_inference_protocol_is_spoken() {
    let project = project();
    let service = service(&project, &[]);
    assert_eq!(service.get("/v2").is(200).json()["name"], "modelgate");
    assert_eq!(service.get("/v2/health/live").is(200).json(), json!({ "live": true }));
    assert_eq!(service.get("/v2/health/ready").is(200).json()["ready"], true);
    let model = service.get("/v2/models/shop").is(200).json();
    assert_eq!(model["versions"], json!(["v001"]));
    let inputs = json!([
        { "name": "age", "datatype": "INT64", "shape": [-1] },
        { "name": "income", "datatype": "FP32", "shape": [-1] },
        { "name": "region", "datatype": "BYTES", "shape": [-1] },
        { "name": "member", "datatype": "INT64", "shape": [-1] },
    ]);
    assert_eq!(model["inputs"], inputs);
    assert_eq!(model["outputs"][1], json!({ "name": "probabilities", "datatype": "FP32", "shape": [-1, 2] }));
    assert_eq!(
        service.get("/v2/models/shop/versions/v001/ready").is(200).json(),
        json!({ "name": "shop", "ready": true })
    );
    let _ = service.get("/v2/models/shop/versions/v009").is(404);
    let _ = service.get("/v2/models/other").is(404);

    let native = service.post("/predict/shop", &json!({ "features": rows() })).is(200).json();
    let tensor = |name: &str, datatype: &str, data: Value| json!({ "name": name, "shape": [3], "datatype": datatype, "data": data });
    let body = json!({
        "id": "call 7",
        "inputs": [
            tensor("age", "INT32", json!([40, 19, 70])),
            { "name": "income", "shape": [3, 1], "datatype": "FP64", "data": [[2500.5], [null], [1000]] },
            tensor("region", "BYTES", json!(["south", "north", "east"])),
            tensor("member", "BOOL", json!([true, false, true])),
        ],
    });
    for path in ["/v2/models/shop/infer", "/v2/models/shop/versions/v001/infer"] {
        let answer = service.post(path, &body).is(200).json();
        assert_eq!((&answer["id"], &answer["model_version"]), (&json!("call 7"), &json!("v001")));
        assert_eq!(answer["outputs"][0]["data"], native["predictions"]);
        assert_eq!(answer["outputs"][1]["shape"], json!([3, 2]));
        let flat: Vec<&Value> = native["probabilities"]
            .as_array()
            .expect("rows")
            .iter()
            .flat_map(|row| row.as_array().expect("row"))
            .collect();
        assert_eq!(answer["outputs"][1]["data"], json!(flat));
    }
    let mut chosen = body.clone();
    chosen["outputs"] = json!([{ "name": "label" }]);
    assert_eq!(
        service.post("/v2/models/shop/infer", &chosen).is(200).json()["outputs"].as_array().map(Vec::len),
        Some(1)
    );
    chosen["outputs"] = json!([{ "name": "nothing" }]);
    let refused = service.post("/v2/models/shop/infer", &chosen).is(400);
    assert!(refused.json()["error"].is_string(), "{}", refused.text);
    for (at, key, value, said) in [
        (0, "shape", json!([4]), "which is not the shape"),
        (0, "datatype", json!("FLOAT"), "none of the protocol's"),
        (0, "datatype", json!("BYTES"), "a value is no BYTES"),
        (0, "data", json!([40, 300_000_000_000_i64, 70]), "a value is no INT32"),
        (0, "parameters", json!([null, null]), "`parameters` is not an object"),
        (0, "data", Value::Null, "`data` is missing"),
        (0, "shape", json!([1, 3]), "is [rows] or [rows, 1]"),
        (1, "shape", json!([1, 3]), "is nested otherwise than the shape"),
    ] {
        let mut wrong = body.clone();
        wrong["inputs"][at][key] = value;
        let reply = service.post("/v2/models/shop/infer", &wrong).is(400);
        assert!(reply.text.contains(said), "{}", reply.text);
    }
}

#[test]
fn a_model_tells_what_it_takes_and_why_it_answers() {
    let project = project();
    let service = service(&project, &[]);
    let list = service.get("/models").is(200).json();
    assert_eq!(list["models"][0]["name"], "shop");
    let model = service.get("/models/shop").is(200).json();
    assert_eq!(model["verified"], true);
    assert_eq!(model["features"][1]["nullable"], true);
    let booleans: Vec<&Value> =
        model["features"].as_array().expect("features").iter().map(|one| &one["boolean"]).collect();
    assert_eq!(booleans, [false, false, false, true]);
    assert_eq!(model["features"][2]["categories"], json!(["east", "north", "south"]));
    let typical: Value = model["features"]
        .as_array()
        .expect("features")
        .iter()
        .map(|one| (one["name"].as_str().expect("name").to_owned(), one["typical"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let _ = service.post("/predict/shop", &typical).is(200);
    assert_eq!(model["lineage"]["seed"], 1);

    let explained = service.post("/explain/shop", &json!({ "features": row() })).is(200).json();
    let one = &explained["explanations"][0];
    assert_eq!(
        (&explained["method"], &explained["unit"], &one["class"]),
        (&json!("occlusion"), &json!("probability"), &json!("yes"))
    );
    let contributions = one["contributions"].as_array().expect("contributions");
    assert_eq!(contributions.len(), 4);
    let sizes: Vec<f64> =
        contributions.iter().map(|one| one["contribution"].as_f64().expect("number").abs()).collect();
    assert!(sizes.is_sorted_by(|one, other| one >= other), "{sizes:?}");

    let document = service.get("/openapi.json").is(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let required = &document["components"]["schemas"]["Row.shop"]["required"];
    assert_eq!(*required, json!(["age", "income", "region", "member"]));
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Row.shop"]["properties"]["member"]["type"], json!(["integer", "boolean"]));
    assert_eq!(schemas["InferRequest.shop"]["properties"]["inputs"]["minItems"], 1);
    assert!(service.get("/docs").is(200).text.contains("swagger-ui-bundle.js"));
    assert!(service.get("/docs/swagger-ui-bundle.js").is(200).text.len() > 1_000_000);
    let _ = service.get("/docs/package.json").is(404);
}

#[test]
fn a_boosted_model_shares_its_score_out() {
    let project = modelgate_testing::TestProject::with(crate::BINARY, &super::table(300), super::CONFIG);
    project.replace(
        "modelgate.yaml",
        "random_forest, params: {n_estimators: 10}",
        "gradient_boosting, params: {n_estimators: 20}",
    );
    let _ = project.run(&["run"]).exits(0);
    let service = service(&project, &[]);
    let explained = service.post("/explain/shop", &row()).is(200).json();
    assert_eq!((&explained["method"], &explained["unit"]), (&json!("shapley"), &json!("log_odds")));
    let one = &explained["explanations"][0];
    let contributions = one["contributions"].as_array().expect("contributions").iter();
    let score: f64 = contributions.filter_map(|one| one["contribution"].as_f64()).sum::<f64>()
        + one["base"].as_f64().expect("base");
    let probability = one["probabilities"][1].as_f64().expect("probability");
    // What the features add up to is the score, and the score is the probability.
    assert!((1.0 / (1.0 + (-score).exp()) - probability).abs() < 1e-5, "{score} {probability}");
}
