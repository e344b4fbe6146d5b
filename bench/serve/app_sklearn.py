"""What teams write by hand: FastAPI, a pickled scikit-learn model, one typed request."""
import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["MODEL_FILE"])
app = FastAPI()


class Request(BaseModel):
    instances: list[list[float]]


@app.get("/ready")
def ready():
    return {"ready": True}


@app.post("/predict")
def predict(request: Request):
    probabilities = model.predict_proba(np.asarray(request.instances))
    labels = model.classes_[probabilities.argmax(axis=1)]
    return {"predictions": labels.tolist(), "probabilities": probabilities.tolist()}
