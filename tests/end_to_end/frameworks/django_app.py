"""Django behind serverless-wsgi, as its documentation shows it."""

import hashlib

import django
import serverless_wsgi
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", DEBUG=False)
django.setup()


def upload(request):
    file = request.FILES["file"]
    data = file.read()
    return JsonResponse(
        {
            "note": request.POST["note"],
            "name": file.name,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    )


def cookies(request):
    response = JsonResponse(request.COOKIES)
    response.set_cookie("first", "1", path="/")
    response.set_cookie("second", "2", httponly=True)
    return response


def redirect(request):
    return HttpResponseRedirect("/target?from=redirect")


def download(request):
    return HttpResponse(bytes(range(256)) * 400, content_type="application/octet-stream")


def echo(request):
    many = ",".join(value.strip() for value in request.headers["x-many"].split(","))
    response = JsonResponse({"tags": request.GET.getlist("tag"), "q": request.GET["q"], "many": many})
    response["x-answer"] = "one,two"
    return response


def names(request, name):
    return JsonResponse({"name": name})


def method(request):
    return JsonResponse({"method": request.method, "body": request.body.decode()})


urlpatterns = [
    path("upload", upload),
    path("cookies", cookies),
    path("redirect", redirect),
    path("download", download),
    path("echo", echo),
    path("names/<str:name>", names),
    path("method", method),
]

application = get_wsgi_application()


def handler(event, context):
    return serverless_wsgi.handle_request(application, event, context)
