"""Make a bucket if it is missing: bucket.py ENDPOINT REGION BUCKET"""
import sys

import boto3
from botocore.config import Config

endpoint, region, bucket = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, region_name=region,
                  config=Config(s3={"addressing_style": "path"}))
if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket=bucket)
