//! The SDK, without its own retries, checksums and connections.

use std::sync::Arc;

use aws_sdk_s3::Client as Sdk;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ObjectCannedAcl, ServerSideEncryption, StorageClass};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::BytesMut;
use http::{HeaderValue, Response};

use super::clock::Clock;
use super::digest::Digests;
use super::failure::Failure;
use super::place::Place;
use super::transport::{self, Transport};
use super::{CONTENT_TYPE, Client, Inner};
use crate::drivers::s3::credentials::Signers;
use crate::drivers::s3::parameters::{Encryption, Keys, Parameters};
use crate::error::{Code, Error};
use crate::http::{Body, Incoming};

pub type Outcome<T> = std::result::Result<T, Failure>;

pub fn client(
    parameters: &Parameters,
    place: &Place,
    signers: &Signers,
    clock: &Clock,
    http: SharedHttpClient,
) -> Sdk {
    let builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .endpoint_resolver(place.clone())
        .http_client(http)
        .time_source(clock.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .identity_cache(IdentityCache::no_cache());
    let builder = match parameters.keys {
        Keys::None => builder.allow_no_auth(),
        _ => builder.credentials_provider(signers.clone()),
    };
    Sdk::from_conf(builder.build())
}

/// What objects are stored with, in the SDK's words.
pub struct Stored {
    pub acl: ObjectCannedAcl,
    pub class: Option<StorageClass>,
    pub encryption: Option<ServerSideEncryption>,
    pub key: Option<String>,
}

impl Stored {
    pub fn with(parameters: &Parameters) -> Stored {
        let (encryption, key) = match &parameters.encryption {
            Encryption::None => (None, None),
            Encryption::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Encryption::Kms(key) => (Some(ServerSideEncryption::AwsKms), Some(key.clone())),
        };
        Stored {
            acl: ObjectCannedAcl::from(parameters.acl.as_str()),
            class: parameters.storage_class.as_deref().map(StorageClass::from),
            encryption,
            key,
        }
    }
}

impl Inner {
    /// What the SDK made of an answer, and what is learned from it.
    pub fn outcome<T, E>(
        &self,
        outcome: std::result::Result<
            T,
            aws_sdk_s3::error::SdkError<
                E,
                aws_smithy_runtime_api::client::orchestrator::HttpResponse,
            >,
        >,
    ) -> Outcome<T>
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        outcome.map_err(|error| {
            let (failure, headers) = Failure::of_sdk(error);
            self.learned(failure, &headers)
        })
    }
}

/// The common requests by the SDK.
impl Client {
    pub(super) async fn sdk_head(&self, key: &str) -> Outcome<Response<()>> {
        let (inner, request) = (&*self.0, self.0.sdk.head_object());
        let mode = inner.wants_checksums().then_some(ChecksumMode::Enabled);
        let aside = transport::Aside::default();
        let request = request.bucket(&inner.parameters.bucket).key(key).set_checksum_mode(mode);
        let outcome = request.customize().config_override(self.aside(&aside)).send().await;
        inner.outcome(outcome)?;
        Ok(taken(&aside)?.map(drop))
    }

    pub(super) async fn sdk_get(
        &self,
        key: &str,
        range: Option<&HeaderValue>,
        if_match: Option<&str>,
    ) -> Outcome<Response<Incoming>> {
        let (inner, request) = (&*self.0, self.0.sdk.get_object());
        let mode = inner.wants_checksums().then_some(ChecksumMode::Enabled);
        let range = range.and_then(|range| range.to_str().ok()).map(str::to_string);
        let aside = transport::Aside::default();
        let request = request
            .bucket(&inner.parameters.bucket)
            .key(key)
            .set_range(range)
            .set_if_match(if_match.map(str::to_string))
            .set_checksum_mode(mode);
        let outcome = request.customize().config_override(self.aside(&aside)).send().await;
        inner.outcome(outcome)?;
        taken(&aside)
    }

    pub(super) async fn sdk_put(
        &self,
        key: &str,
        body: Body,
        digests: &Digests,
    ) -> Outcome<String> {
        let inner = &*self.0;
        let stored = Stored::with(&inner.parameters);
        let request = inner
            .sdk
            .put_object()
            .bucket(&inner.parameters.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .acl(stored.acl)
            .set_storage_class(stored.class)
            .set_server_side_encryption(stored.encryption)
            .set_ssekms_key_id(stored.key)
            .set_content_md5(digests.md5.clone())
            .set_checksum_crc32_c(digests.crc32c.clone())
            .body(whole(&body))
            .customize();
        let request = match inner.parameters.sign_payload {
            true => request,
            false => request.disable_payload_signing(),
        };
        let done = inner.outcome(request.send().await)?;
        Ok(done.e_tag.unwrap_or_default())
    }

    pub(super) async fn sdk_upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        body: Body,
        digests: &Digests,
    ) -> Outcome<String> {
        let inner = &*self.0;
        let request = inner
            .sdk
            .upload_part()
            .bucket(&inner.parameters.bucket)
            .key(key)
            .upload_id(id)
            .part_number(number.cast_signed())
            .set_content_md5(digests.md5.clone())
            .body(whole(&body))
            .customize();
        let request = match inner.parameters.sign_payload {
            true => request,
            false => request.disable_payload_signing(),
        };
        let done = inner.outcome(request.send().await)?;
        Ok(done.e_tag.unwrap_or_default())
    }

    /// The SDK's settings for one request whose answer is wanted as it comes.
    fn aside(&self, aside: &transport::Aside) -> aws_sdk_s3::config::Builder {
        let transport = Transport::aside(self.0.engine.clone(), self.0.log, Arc::clone(aside));
        Config::builder().http_client(transport)
    }
}

fn taken(aside: &transport::Aside) -> Outcome<Response<Incoming>> {
    let answer = aside.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    answer.ok_or_else(|| Error::new(Code::Internal, "an answer of the sdk is lost").into())
}

/// In one piece, as the SDK wants what it signs.
fn whole(body: &Body) -> ByteStream {
    match body.pieces() {
        [] => ByteStream::default(),
        [one] => ByteStream::from(one.clone()),
        pieces => {
            let mut all = BytesMut::with_capacity(usize::try_from(body.len()).unwrap_or_default());
            pieces.iter().for_each(|piece| all.extend_from_slice(piece));
            ByteStream::from(all.freeze())
        }
    }
}
