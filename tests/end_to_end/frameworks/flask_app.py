"""Flask behind apig-wsgi, as its documentation shows it."""

import hashlib

from apig_wsgi import make_lambda_handler
from flask import Flask, Response, jsonify, redirect, request

app = Flask(__name__)


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(
        note=request.form["note"], name=file.filename, size=len(data), sha256=hashlib.sha256(data).hexdigest()
    )


@app.get("/cookies")
def cookies():
    response = jsonify(dict(request.cookies))
    response.set_cookie("first", "1", path="/")
    response.set_cookie("second", "2", httponly=True)
    return response


@app.get("/redirect")
def to_target():
    return redirect("/target?from=redirect", 302)


@app.get("/download")
def download():
    return Response(bytes(range(256)) * 400, mimetype="application/octet-stream")


@app.get("/echo")
def echo():
    many = ",".join(value.strip() for value in request.headers["x-many"].split(","))
    response = jsonify(tags=request.args.getlist("tag"), q=request.args["q"], many=many)
    # In format 2.0 apig-wsgi keeps the last of repeated headers, as the format has no place for more.
    response.headers["x-answer"] = "one,two"
    return response


@app.get("/names/<name>")
def names(name):
    return jsonify(name=name)


@app.route("/method", methods=["PUT", "DELETE", "PATCH"])
def method():
    return jsonify(method=request.method, body=request.get_data(as_text=True))


handler = make_lambda_handler(app, binary_support=True)
