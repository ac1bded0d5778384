"""Calls of boto3 for the tests: a line of JSON in, {"call": name, "args": {...}}, and
one out. Bytes go as {"base64": text}."""
import base64
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, region, access_key, secret_key = sys.argv[1:]
s3 = boto3.client(
    "s3", endpoint_url=endpoint, region_name=region, aws_access_key_id=access_key,
    aws_secret_access_key=secret_key,
    config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                  response_checksum_validation="when_required"))


def unpack(value):
    if isinstance(value, dict):
        if "base64" in value:
            return base64.b64decode(value["base64"])
        return {key: unpack(inner) for key, inner in value.items()}
    return [unpack(inner) for inner in value] if isinstance(value, list) else value


def pack(value):
    if hasattr(value, "read"):
        value = value.read()
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)


for line in sys.stdin:
    wanted = json.loads(line)
    try:
        answer = getattr(s3, wanted["call"])(**unpack(wanted["args"]))
    except ClientError as error:
        answer = {"error": error.response["Error"]["Code"]}
    print(json.dumps(answer, default=pack), flush=True)
