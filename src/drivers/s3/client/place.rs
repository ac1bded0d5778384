//! Where the bucket is: the address that requests go to, and what they are signed for.
//! The same for the SDK and for requests that are made without it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_sdk_s3::config::endpoint::{
    DefaultResolver, Endpoint, EndpointFuture, Params, ResolveEndpoint,
};
use aws_smithy_types::endpoint::EndpointAuthScheme;

use super::super::keys;
use super::super::parameters::Parameters;
use crate::error::{Code, Error, Result};

/// The address of a bucket.
#[derive(Clone, Debug)]
pub struct Place {
    /// `https`.
    pub scheme: String,
    /// Host, and port where it is not the scheme's.
    pub authority: String,
    /// In front of the slash and the key: "", or the bucket and what is in front of it.
    pub prefix: String,
    pub region: String,
    pub service: String,
    endpoint: Endpoint,
}

impl Place {
    pub fn of(parameters: &Parameters) -> Result<Place> {
        let endpoint = match &parameters.endpoint {
            Some(endpoint) => {
                let url = elsewhere(&endpoint.url, parameters)?;
                let scheme = EndpointAuthScheme::with_capacity("sigv4", 3)
                    .put("disableDoubleEncoding", true)
                    .put("signingName", "s3")
                    .put("signingRegion", parameters.region.clone());
                Endpoint::builder().url(url).auth_scheme(scheme).build()
            }
            None => of_aws(parameters)?,
        };
        Place::parse(endpoint, parameters)
    }

    fn parse(endpoint: Endpoint, parameters: &Parameters) -> Result<Place> {
        let url: http::Uri = endpoint.url().parse().map_err(|_| wrong("is no url"))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong("has no host"));
        };
        let usual = match scheme {
            "https" => ":443",
            _ => ":80",
        };
        let authority = authority.as_str();
        let signing = endpoint.auth_schemes().iter().find(|scheme| scheme.name() == "sigv4");
        let property = |key: &str, default: &str| {
            let value = signing.and_then(|scheme| scheme.get(key)?.as_string());
            value.unwrap_or(default).to_string()
        };
        Ok(Place {
            scheme: scheme.to_string(),
            authority: authority.strip_suffix(usual).unwrap_or(authority).to_string(),
            prefix: url.path().trim_end_matches('/').to_string(),
            region: property("signingRegion", &parameters.region),
            service: property("signingName", "s3"),
            endpoint,
        })
    }

    /// Whether requests are signed in the ordinary way. Buckets of one zone have
    /// sessions, which are the SDK's business.
    pub fn is_ordinary(&self) -> bool {
        self.service == "s3"
    }

    /// The address alone.
    pub fn uri(&self) -> Result<http::Uri> {
        let Place { scheme, authority, .. } = self;
        format!("{scheme}://{authority}/").parse().map_err(|_| wrong("is no url"))
    }

    /// The same bucket behind another scheme and host.
    pub fn moved_to(self, url: &str) -> Result<Place> {
        let (scheme, authority) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        Ok(Place { scheme: scheme.to_string(), authority: authority.to_string(), ..self })
    }

    /// The path of an object, escaped.
    pub fn path(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.prefix.len() + 1 + key.len());
        path.push_str(&self.prefix);
        path.push('/');
        keys::escape(key, &mut path);
        path
    }
}

impl ResolveEndpoint for Place {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(self.endpoint.clone()))
    }
}

fn wrong(why: &str) -> Error {
    Error::new(Code::InvalidParameter, format!("the endpoint of the bucket {why}"))
}

/// A server's address with the bucket in front of the host or behind it.
fn elsewhere(url: &str, parameters: &Parameters) -> Result<String> {
    let parsed: http::Uri = url.parse().map_err(|_| wrong("is no url"))?;
    let host = parsed.host().unwrap_or_default();
    let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    let bucket = &parameters.bucket;
    if parameters.path_style || is_address || !is_host_label(bucket) {
        let mut url = url.to_string();
        url.push('/');
        keys::escape_all(bucket, &mut url);
        return Ok(url);
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    Ok(format!("{scheme}://{bucket}.{rest}"))
}

fn is_host_label(bucket: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !bucket.is_empty() && bucket.bytes().all(plain) && !bucket.starts_with(['-', '.'])
}

/// What AWS says about itself: partitions, dual stack, acceleration, FIPS, access points.
fn of_aws(parameters: &Parameters) -> Result<Endpoint> {
    let refused = |why: String| Error::new(Code::InvalidParameter, why);
    let params = Params::builder()
        .bucket(&parameters.bucket)
        .region(&parameters.region)
        .use_fips(parameters.fips)
        .use_dual_stack(parameters.dual_stack)
        .accelerate(parameters.accelerate)
        .force_path_style(parameters.path_style)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let resolver = DefaultResolver::new();
    let resolved = pin!(ResolveEndpoint::resolve_endpoint(&resolver, &params));
    // It is a table, and answers at once.
    let Poll::Ready(resolved) = resolved.poll(&mut Context::from_waker(Waker::noop())) else {
        return Err(wrong("is not known at once"));
    };
    let endpoint = resolved.map_err(|error| refused(lower_case_first(&error.to_string())))?;
    Ok(match (parameters.secure, endpoint.url().strip_prefix("https://")) {
        (false, Some(rest)) => {
            let url = format!("http://{rest}");
            endpoint.into_builder().url(url).build()
        }
        _ => endpoint,
    })
}

fn lower_case_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(characters).collect::<String>().trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    fn place(json: &str) -> Result<Place> {
        Place::of(&Parameters::read(&Params::from_json(json).unwrap()).unwrap())
    }

    #[test]
    fn addresses_of_aws_and_of_others() {
        for (json, expected) in [
            (
                r#"{"bucket":"b1x","region":"eu-west-3"}"#,
                "https://b1x.s3.eu-west-3.amazonaws.com/k",
            ),
            (
                r#"{"bucket":"b1x","region":"eu-west-3","secure":false}"#,
                "http://b1x.s3.eu-west-3.amazonaws.com/k",
            ),
            (
                r#"{"bucket":"b1x","region":"eu-west-3","forcepathstyle":true}"#,
                "https://s3.eu-west-3.amazonaws.com/b1x/k",
            ),
            (
                r#"{"bucket":"b1x","region":"eu-west-3","usedualstack":true}"#,
                "https://b1x.s3.dualstack.eu-west-3.amazonaws.com/k",
            ),
            (
                r#"{"bucket":"b1x","region":"us-east-1","accelerate":true}"#,
                "https://b1x.s3-accelerate.amazonaws.com/k",
            ),
            (
                r#"{"bucket":"b1x","region":"us-east-1","usefipsendpoint":true}"#,
                "https://b1x.s3-fips.us-east-1.amazonaws.com/k",
            ),
            (
                r#"{"bucket":"b1x","region":"cn-north-1"}"#,
                "https://b1x.s3.cn-north-1.amazonaws.com.cn/k",
            ),
            (
                r#"{"bucket":"dots.in.it","region":"us-east-1"}"#,
                "https://s3.us-east-1.amazonaws.com/dots.in.it/k",
            ),
            (r#"{"bucket":"b1x","regionendpoint":"h:9000"}"#, "https://h:9000/b1x/k"),
            (r#"{"bucket":"b1x","regionendpoint":"http://h:80/p"}"#, "http://h/p/b1x/k"),
            (
                r#"{"bucket":"b1x","regionendpoint":"http://h:9000","forcepathstyle":false}"#,
                "http://b1x.h:9000/k",
            ),
            (
                r#"{"bucket":"b1x","regionendpoint":"http://127.0.0.1:9","forcepathstyle":false}"#,
                "http://127.0.0.1:9/b1x/k",
            ),
            (
                r#"{"bucket":"Upper","regionendpoint":"http://h","forcepathstyle":false}"#,
                "http://h/Upper/k",
            ),
        ] {
            let place = place(json).unwrap();
            let url = format!("{}://{}{}", place.scheme, place.authority, place.path("k"));
            assert_eq!(url, expected, "{json}");
            assert!(place.is_ordinary());
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        let json = r#"{"bucket":"b1x","region":"us-east-1","accelerate":true,
                       "usefipsendpoint":true}"#;
        let error = place(json).unwrap_err();
        assert_eq!(error.code(), Code::InvalidParameter);
        assert_eq!(error.to_string(), "accelerate cannot be used with FIPS");
    }
}
