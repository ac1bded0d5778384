use super::*;

/// What every driver needs, and then what a test is about.
fn read(json: &str) -> Result<Parameters> {
    let mut params = Params::from_json(json).unwrap();
    for (key, value) in [("bucket", "b"), ("region", "us-east-1")] {
        if params.get(key).is_none() {
            params.set(key, value);
        }
    }
    Parameters::read(&params)
}

fn message(json: &str) -> String {
    let error = read(json).unwrap_err();
    assert_eq!(error.code(), Code::InvalidParameter, "{json}");
    error.to_string()
}

#[test]
fn defaults_are_distributions() {
    let p = read("{}").unwrap();
    let expected = Parameters {
        bucket: "b".to_string(),
        region: "us-east-1".to_string(),
        keys: Keys::Found,
        endpoint: None,
        redirect_endpoint: None,
        path_style: false,
        dual_stack: false,
        accelerate: false,
        fips: false,
        secure: true,
        skip_verify: false,
        encryption: Encryption::None,
        storage_class: Some("STANDARD".to_string()),
        acl: "private".to_string(),
        root: String::new(),
        user_agent: String::new(),
        chunk_size: 10 * MIB,
        copy_chunk_size: None,
        copy_concurrency: 100,
        copy_threshold: 32 * MIB,
        checksum: Checksum::None,
        sign_payload: false,
        debug: false,
        upload_concurrency: 4,
        read_ahead: 0,
        connect_timeout: Duration::from_secs(10),
        stall_timeout: Duration::from_secs(60),
        direct: true,
    };
    assert_eq!(p, expected);
}

#[test]
fn every_key_is_taken_in_every_form() {
    fn is(check: bool, json: &str) {
        assert!(check, "{json}");
    }
    type Check = fn(&Parameters) -> bool;
    let table: &[(&str, Check)] = &[
        (r#"{"bucket":123}"#, |p| p.bucket == "123"),
        (r#"{"accesskey":"a","secretkey":"s"}"#, |p| {
            p.keys == Keys::Given { access: "a".into(), secret: "s".into(), token: None }
        }),
        (r#"{"accesskey":1,"secretkey":2,"sessiontoken":"t"}"#, |p| {
            let token = Some("t".to_string());
            p.keys == Keys::Given { access: "1".into(), secret: "2".into(), token }
        }),
        (r#"{"accesskey":"a"}"#, |p| p.keys == Keys::Found),
        (r#"{"secretkey":"s","accesskey":""}"#, |p| p.keys == Keys::Found),
        (r#"{"anonymous":true}"#, |p| p.keys == Keys::None),
        (r#"{"region":"eu-west-3"}"#, |p| p.region == "eu-west-3"),
        (r#"{"region":"default","regionendpoint":"h"}"#, |p| p.region == "default"),
        (r#"{"region":null,"regionendpoint":"h"}"#, |p| p.region == "us-east-1"),
        (r#"{"region":"","regionendpoint":"h"}"#, |p| p.region == "us-east-1"),
        (r#"{"regionendpoint":""}"#, |p| p.endpoint.is_none() && p.secure),
        (r#"{"regionendpoint":"h:9000"}"#, |p| {
            p.endpoint == Some(Endpoint { url: "https://h:9000".into(), secure: true })
        }),
        (r#"{"regionendpoint":"h","secure":false}"#, |p| {
            p.endpoint == Some(Endpoint { url: "http://h".into(), secure: false })
        }),
        (r#"{"regionendpoint":"http://h/","secure":true}"#, |p| {
            p.endpoint == Some(Endpoint { url: "http://h".into(), secure: false })
        }),
        (r#"{"regionendpoint":"https://h/s3","secure":"false"}"#, |p| {
            p.endpoint == Some(Endpoint { url: "https://h/s3".into(), secure: true })
        }),
        (r#"{"regionendpoint":"h"}"#, |p| p.path_style),
        (r#"{"regionendpoint":"h","forcepathstyle":"f"}"#, |p| !p.path_style),
        (r#"{"forcepathstyle":true}"#, |p| p.path_style),
        (r#"{"encrypt":true}"#, |p| p.encryption == Encryption::Aes256),
        (r#"{"encrypt":"T","keyid":"k"}"#, |p| p.encryption == Encryption::Kms("k".into())),
        // Of no use without encryption, and S3 refuses it then.
        (r#"{"keyid":"k"}"#, |p| p.encryption == Encryption::None),
        (r#"{"secure":false}"#, |p| !p.secure && p.sign_payload),
        (r#"{"secure":false}"#, |p| p.checksum == Checksum::Md5),
        (r#"{"regionendpoint":"http://h"}"#, |p| p.checksum == Checksum::Md5 && p.sign_payload),
        (r#"{"regionendpoint":"http://h","signpayload":false}"#, |p| !p.sign_payload),
        (r#"{"signpayload":true}"#, |p| p.sign_payload),
        (r#"{"secure":false,"checksum":"none"}"#, |p| p.checksum == Checksum::None),
        (r#"{"checksum":"CRC32C"}"#, |p| p.checksum == Checksum::Crc32c),
        (r#"{"checksum":"md5"}"#, |p| p.checksum == Checksum::Md5),
        (r#"{"skipverify":"1"}"#, |p| p.skip_verify),
        (r#"{"v4auth":true}"#, |_| true),
        (r#"{"chunksize":5242880}"#, |p| p.chunk_size == 5 * MIB),
        (r#"{"chunksize":"5368709120"}"#, |p| p.chunk_size == 5 << 30),
        (r#"{"chunksize":" 5242880"}"#, |p| p.chunk_size == 5 * MIB),
        (r#"{"chunksize":"+5242880"}"#, |p| p.chunk_size == 5 * MIB),
        (r#"{"chunksize":"0x500000"}"#, |p| p.chunk_size == 5 * MIB),
        (r#"{"chunksize":1e7}"#, |p| p.chunk_size == 10_000_000),
        (r#"{"chunksize":null}"#, |p| p.chunk_size == 10 * MIB),
        (r#"{"multipartcopychunksize":6000000}"#, |p| p.copy_chunk_size == Some(6_000_000)),
        (r#"{"multipartcopymaxconcurrency":1}"#, |p| p.copy_concurrency == 1),
        (r#"{"multipartcopymaxconcurrency":"9223372036854775807"}"#, |p| {
            p.copy_concurrency == 9223372036854775807
        }),
        (r#"{"multipartcopythresholdsize":0}"#, |p| p.copy_threshold == 0),
        (r#"{"rootdirectory":"/"}"#, |p| p.root.is_empty()),
        (r#"{"rootdirectory":"//a/b//"}"#, |p| p.root == "a/b"),
        (r#"{"rootdirectory":7}"#, |p| p.root == "7"),
        (r#"{"storageclass":"none"}"#, |p| p.storage_class.is_none()),
        (r#"{"storageclass":"Glacier_IR"}"#, |p| p.storage_class.as_deref() == Some("GLACIER_IR")),
        (r#"{"useragent":"me/1"}"#, |p| p.user_agent == "me/1"),
        (r#"{"objectacl":"public-read"}"#, |p| p.acl == "public-read"),
        (r#"{"usedualstack":true}"#, |p| p.dual_stack),
        (r#"{"accelerate":true}"#, |p| p.accelerate),
        (r#"{"usefipsendpoint":true}"#, |p| p.fips),
        (r#"{"loglevel":false}"#, |p| !p.debug),
        (r#"{"loglevel":"loud"}"#, |p| !p.debug),
        (r#"{"loglevel":"debugwithsigning"}"#, |p| p.debug),
        (r#"{"redirectendpoint":"https://cdn.example:8443/"}"#, |p| {
            p.redirect_endpoint.as_deref() == Some("https://cdn.example:8443")
        }),
        (r#"{"uploadconcurrency":8}"#, |p| p.upload_concurrency == 8),
        (r#"{"connecttimeout":"3"}"#, |p| p.connect_timeout.as_secs() == 3),
        (r#"{"stalltimeout":90}"#, |p| p.stall_timeout.as_secs() == 90),
        (r#"{"readahead":4}"#, |p| p.read_ahead == 4),
    ];
    for (json, check) in table {
        is(check(&read(json).unwrap()), json);
    }
}

#[test]
fn messages_are_distributions() {
    let numbers = |key: &str, given: &str, min: u64, max: u64| {
        format!(
            "the {key} {given} parameter should be a number between {min} and {max} (inclusive)"
        )
    };
    let classes = "[NONE STANDARD REDUCED_REDUNDANCY STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING \
                   OUTPOSTS GLACIER_IR EXPRESS_ONEZONE]";
    let class = |given: &str| {
        format!("the storageclass parameter must be one of {classes}, {given} invalid")
    };
    let boolean = |key: &str| format!("the {key} parameter should be a boolean");
    let table: Vec<(&str, String)> = vec![
        (r#"{"bucket":""}"#, "no bucket parameter provided".into()),
        (r#"{"bucket":"<nil>"}"#, "no bucket parameter provided".into()),
        (r#"{"region":""}"#, "no region parameter provided".into()),
        (r#"{"region":"nowhere"}"#, "invalid region provided: nowhere".into()),
        (r#"{"region":"<nil>"}"#, "invalid region provided: <nil>".into()),
        (r#"{"region":"<nil>","regionendpoint":"h"}"#, "invalid region provided: <nil>".into()),
        (
            r#"{"v4auth":false}"#,
            "on Amazon S3 this storage driver can only be used with v4 authentication".into(),
        ),
        (
            r#"{"v4auth":"false","regionendpoint":"https://s3.amazonaws.com"}"#,
            "on Amazon S3 this storage driver can only be used with v4 authentication".into(),
        ),
        (
            r#"{"v4auth":false,"regionendpoint":"http://minio:9000"}"#,
            "this storage driver can only be used with v4 authentication".into(),
        ),
        (r#"{"encrypt":"yes"}"#, boolean("encrypt")),
        (r#"{"secure":1}"#, boolean("secure")),
        (r#"{"skipverify":""}"#, boolean("skipverify")),
        (r#"{"v4auth":"tRue"}"#, boolean("v4auth")),
        (r#"{"forcepathstyle":[]}"#, boolean("forcepathstyle")),
        (r#"{"usedualstack":"on"}"#, boolean("usedualstack")),
        (r#"{"accelerate":2.5}"#, boolean("accelerate")),
        (r#"{"usefipsendpoint":{}}"#, boolean("usefipsendpoint")),
        (r#"{"chunksize":"10MB"}"#, "chunksize parameter must be an integer, 10MB invalid".into()),
        (r#"{"chunksize":""}"#, "chunksize parameter must be an integer,  invalid".into()),
        (r#"{"chunksize":1.5}"#, "chunksize parameter must be an integer, 1.5 invalid".into()),
        (r#"{"chunksize":true}"#, "chunksize parameter must be an integer, true invalid".into()),
        (r#"{"chunksize":5242879}"#, numbers("chunksize", "5242879", 5 * MIB, 5 << 30)),
        (r#"{"chunksize":"5368709121"}"#, numbers("chunksize", "5368709121", 5 * MIB, 5 << 30)),
        (r#"{"chunksize":-1}"#, numbers("chunksize", "-1", 5 * MIB, 5 << 30)),
        (
            r#"{"multipartcopychunksize":0}"#,
            numbers("multipartcopychunksize", "0", 5 * MIB, 5 << 30),
        ),
        (
            r#"{"multipartcopymaxconcurrency":0}"#,
            numbers("multipartcopymaxconcurrency", "0", 1, i64::MAX as u64),
        ),
        (
            r#"{"multipartcopythresholdsize":"5368709121"}"#,
            numbers("multipartcopythresholdsize", "5368709121", 0, 5 << 30),
        ),
        (r#"{"storageclass":"cold"}"#, class("cold")),
        (r#"{"storageclass":1}"#, class("1")),
        (r#"{"objectacl":"Private"}"#, "invalid value for objectacl parameter: Private".into()),
        (r#"{"objectacl":true}"#, "invalid value for objectacl parameter: true".into()),
        (
            r#"{"redirectendpoint":"cdn.example"}"#,
            "the redirectendpoint parameter must have a scheme and a host".into(),
        ),
        (
            r#"{"redirectendpoint":"https://"}"#,
            "the redirectendpoint parameter must have a scheme and a host".into(),
        ),
        (
            r#"{"redirectendpoint":"https://h/path"}"#,
            "the redirectendpoint parameter must not have a path".into(),
        ),
        (
            r#"{"redirectendpoint":"https://h/?a=b"}"#,
            "the redirectendpoint parameter must not have a query".into(),
        ),
        (
            r#"{"checksum":"sha1"}"#,
            "the checksum parameter must be one of [none md5 crc32c], sha1 invalid".into(),
        ),
        (
            r#"{"regionendpoint":"ftp://h"}"#,
            "the regionendpoint parameter should be a host or an http or https url".into(),
        ),
        (
            r#"{"anonymous":true,"accesskey":"a"}"#,
            "the anonymous parameter excludes accesskey and secretkey".into(),
        ),
        (
            r#"{"sessiontoken":"t"}"#,
            "the sessiontoken parameter needs accesskey and secretkey".into(),
        ),
    ];
    for (json, expected) in table {
        assert_eq!(message(json), expected, "{json}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let text = message(r#"{"buckett":"b"}"#);
    assert!(text.starts_with("parameter buckett: is unknown"), "{text}");
}

#[test]
fn no_secret_is_in_an_error_or_a_debug_print() {
    let secret = "wJalrXUtnFEMI";
    for json in [
        r#"{"accesskey":"wJalrXUtnFEMI","secretkey":["wJalrXUtnFEMI"]}"#,
        r#"{"accesskey":"a","secretkey":"wJalrXUtnFEMI","chunksize":"x"}"#,
        r#"{"regionendpoint":"http://u:wJalrXUtnFEMI@h"}"#,
        r#"{"redirectendpoint":"http://u:wJalrXUtnFEMI@h"}"#,
    ] {
        assert!(!message(json).contains(secret), "{json}");
    }
    let given = read(r#"{"accesskey":"wJalrXUtnFEMI","secretkey":"wJalrXUtnFEMI"}"#).unwrap();
    assert!(!format!("{given:?}").contains(secret));
}
