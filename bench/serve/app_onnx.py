"""The quicker hand-written service: FastAPI and ONNX Runtime with one thread; the handler is asynchronous, so that no
thread pool is paid for."""
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
app = FastAPI()


class Request(BaseModel):
    instances: list[list[float]]


@app.get("/ready")
async def ready():
    return {"ready": True}


@app.post("/predict")
async def predict(request: Request):
    labels, probabilities = session.run(None, {name: np.asarray(request.instances, dtype=np.float32)})
    return {"predictions": labels.tolist(), "probabilities": probabilities.tolist()}
