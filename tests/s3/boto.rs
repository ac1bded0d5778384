//! boto3 as the second opinion on what lies in a bucket.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::store::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, Store};

pub struct Boto {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Boto {
    pub fn start(store: &Store) -> Boto {
        let python = std::env::var("STORAGEDRIVER_S3_PYTHON").unwrap_or("python3".into());
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/boto.py"))
            .args([&store.endpoint, REGION, ACCESS_KEY, SECRET_KEY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Boto { process, input, output }
    }

    /// A method of its client; the bucket is filled in.
    pub fn call(&mut self, name: &str, mut args: Value) -> Value {
        args["Bucket"] = json!(BUCKET);
        let line = json!({"call": name, "args": args}).to_string() + "\n";
        self.input.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{name}: {}", answer["error"]);
        answer
    }

    pub fn get(&mut self, key: &str) -> Vec<u8> {
        let answer = self.call("get_object", json!({"Key": key}));
        unpack(&answer["Body"])
    }

    /// Keys below a prefix, with their sizes.
    pub fn list(&mut self, prefix: &str) -> Vec<(String, u64)> {
        let answer = self.call("list_objects_v2", json!({"Prefix": prefix}));
        assert_eq!(answer["IsTruncated"], json!(false));
        let found = answer["Contents"].as_array().cloned().unwrap_or_default();
        let entry = |item: &Value| {
            (item["Key"].as_str().unwrap().to_string(), item["Size"].as_u64().unwrap())
        };
        found.iter().map(entry).collect()
    }

    /// Uploads in progress below a prefix: key and id.
    pub fn uploads(&mut self, prefix: &str) -> Vec<(String, String)> {
        let answer = self.call("list_multipart_uploads", json!({"Prefix": prefix}));
        let found = answer["Uploads"].as_array().cloned().unwrap_or_default();
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_string();
        found.iter().map(|item| (text(item, "Key"), text(item, "UploadId"))).collect()
    }

    /// Number, size and ETag of each part of an upload.
    pub fn parts(&mut self, key: &str, id: &str) -> Vec<(u64, u64, String)> {
        let answer = self.call("list_parts", json!({"Key": key, "UploadId": id}));
        let found = answer["Parts"].as_array().cloned().unwrap_or_default();
        let part = |item: &Value| {
            let tag = item["ETag"].as_str().unwrap().to_string();
            (item["PartNumber"].as_u64().unwrap(), item["Size"].as_u64().unwrap(), tag)
        };
        found.iter().map(part).collect()
    }

    pub fn create_upload(&mut self, key: &str) -> String {
        let answer = self.call("create_multipart_upload", json!({"Key": key}));
        answer["UploadId"].as_str().unwrap().to_string()
    }

    pub fn upload_part(&mut self, key: &str, id: &str, number: u64, data: &[u8]) {
        let args = json!({"Key": key, "UploadId": id, "PartNumber": number, "Body": pack(data)});
        self.call("upload_part", args);
    }

    pub fn complete(&mut self, key: &str, id: &str) {
        let parts = self.parts(key, id);
        let parts: Vec<_> =
            parts.iter().map(|(n, _, tag)| json!({"PartNumber": n, "ETag": tag})).collect();
        let upload = json!({"Parts": parts});
        self.call(
            "complete_multipart_upload",
            json!({"Key": key, "UploadId": id, "MultipartUpload": upload}),
        );
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn pack(data: &[u8]) -> Value {
    json!({ "base64": BASE64_STANDARD.encode(data) })
}

fn unpack(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(value["base64"].as_str().unwrap()).unwrap()
}
