"""A handler that signs requests to the region with the credentials that Lambda gave to the function."""

import http.client
import os

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session


def handler(event, context):
    host = f"127.0.0.1:{event['port']}"
    request = AWSRequest("POST", f"http://{host}{event['path']}", data=b"", headers={"Host": host})
    SigV4Auth(Session().get_credentials(), event["service"], os.environ["AWS_REGION"]).add_auth(request)
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("POST", event["path"], b"", dict(request.headers.items()))
    return connection.getresponse().status
