"""FastAPI behind Mangum, as its documentation shows it."""

import hashlib

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, Response
from mangum import Mangum

app = FastAPI()


@app.post("/upload")
async def upload(note: str = Form(), file: UploadFile = File()):  # noqa: B008
    data = await file.read()
    return {"note": note, "name": file.filename, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@app.get("/cookies")
def cookies(request: Request):
    response = JSONResponse(dict(request.cookies))
    response.set_cookie("first", "1", path="/")
    response.set_cookie("second", "2", httponly=True)
    return response


@app.get("/redirect")
def redirect():
    return RedirectResponse("/target?from=redirect", 302)


@app.get("/download")
def download():
    return Response(bytes(range(256)) * 400, media_type="application/octet-stream")


@app.get("/echo")
def echo(request: Request):
    many = ",".join(value.strip() for text in request.headers.getlist("x-many") for value in text.split(","))
    response = JSONResponse({"tags": request.query_params.getlist("tag"), "q": request.query_params["q"], "many": many})
    response.headers.append("x-answer", "one")
    response.headers.append("x-answer", "two")
    return response


@app.get("/names/{name}")
def names(name: str):
    return {"name": name}


@app.api_route("/method", methods=["PUT", "DELETE", "PATCH"])
async def method(request: Request):
    return {"method": request.method, "body": (await request.body()).decode()}


handler = Mangum(app, lifespan="off")
