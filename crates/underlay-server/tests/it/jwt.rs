//! Signed tokens: what is taken, what never is, and an issuer that fails, hangs and changes its keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use underlay_core::{Clock, ManualClock, Timestamp};
use underlay_server::jwt::{
    JWKS_FETCH_MAX, JWKS_FRESH, JWKS_KEPT_MAX, JWKS_RETRY_INTERVAL, JWKS_UNKNOWN_INTERVAL, JwtConfig,
    JwtKeys, LEEWAY, SignedTokens,
};
use underlay_server::{Credentials, Denied, Principal};

const RSA_PRIVATE: &[u8] = include_bytes!("keys/rsa_private.der");
const RSA_PUBLIC: &str = include_str!("keys/rsa_public.pem");
const RSA_MODULUS: &str = include_str!("keys/rsa_modulus.txt");
const SECRET: &[u8] = b"a secret of more than thirty-two bytes";

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(DIGITS[(group >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Secret(Vec<u8>),
    Nobody,
}

impl Signer {
    fn ed() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap())
    }

    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_der(RSA_PRIVATE).unwrap())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Secret(secret) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Nobody => Vec::new(),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_) => "ES256",
            Self::Rsa(_) => "RS256",
            Self::Secret(_) => "HS256",
            Self::Nobody => "none",
        }
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(key) => {
                json!({"kty":"OKP","crv":"Ed25519","kid":id,"use":"sig","x":base64(key.public_key().as_ref())})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty":"EC","crv":"P-256","kid":id,"alg":"ES256","x":base64(x),"y":base64(y)})
            }
            Self::Rsa(_) => json!({"kty":"RSA","kid":id,"n":RSA_MODULUS.trim(),"e":"AQAB"}),
            Self::Secret(secret) => json!({"kty":"oct","kid":id,"k":base64(secret)}),
            Self::Nobody => json!({"kty":"unknown","kid":id}),
        }
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": id, "typ": "JWT"}), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        format!("{message}.{}", base64(&self.sign(message.as_bytes())))
    }
}

fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_second(2_000_000_000).unwrap()))
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": ["bank", "other"], "exp": 2_000_000_600, "nbf": 2_000_000_000,
        "sub": "ada", "tenant": "acme", "roles": ["teller", "auditor"],
    })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn config(keys: JwtKeys) -> JwtConfig {
    JwtConfig::new("https://id.example", vec!["bank".to_owned()], keys)
}

fn opened(config: JwtConfig, clock: &Arc<ManualClock>) -> SignedTokens {
    SignedTokens::new(config, clock.clone()).unwrap()
}

async fn ask(tokens: &SignedTokens, token: &str) -> Result<Principal, Denied> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    tokens.identify(&headers).await
}

#[track_caller]
fn unidentified(answer: Result<Principal, Denied>) -> String {
    match answer {
        Err(Denied::Unidentified { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_kind_of_key_lets_in_whom_it_signed_for() {
    let clock = clock();
    let signers = [Signer::ed(), Signer::ec(), Signer::rsa()];
    let all: Vec<Value> =
        signers.iter().enumerate().map(|(at, signer)| signer.jwk(&at.to_string())).collect();
    let given = opened(config(JwtKeys::parse(jwks(&all).as_bytes()).unwrap()), &clock);
    for (at, signer) in signers.iter().enumerate() {
        let principal = ask(&given, &signer.token(&at.to_string(), &claims())).await.unwrap();
        assert_eq!(principal.tenant.as_str(), "acme");
        assert_eq!(principal.actor.name.as_deref(), Some("ada"));
        assert_eq!(principal.actor.roles, ["teller", "auditor"]);
        let end = Timestamp::from_second(2_000_000_600).unwrap() + LEEWAY;
        assert_eq!(principal.expires_at, Some(end));
        // Without an id every key that fits is tried; with another's, only that one.
        let no_id = json!({"alg": signer.algorithm()});
        ask(&given, &signer.token_with(&no_id, &claims())).await.unwrap();
        unidentified(ask(&given, &signer.token("another", &claims())).await);
    }
    let pem = opened(config(JwtKeys::parse(RSA_PUBLIC.as_bytes()).unwrap()), &clock);
    ask(&pem, &Signer::rsa().token("whatever", &claims())).await.unwrap();
    let secret = opened(config(JwtKeys::secret(SECRET).unwrap()), &clock);
    ask(&secret, &Signer::Secret(SECRET.to_vec()).token("x", &claims())).await.unwrap();
    unidentified(
        ask(
            &secret,
            &Signer::Secret(b"another secret of thirty-two bytes and more".to_vec()).token("x", &claims()),
        )
        .await,
    );
}

#[tokio::test]
async fn the_algorithm_is_never_the_tokens_to_choose() {
    let clock = clock();
    let public = JwtKeys::parse(RSA_PUBLIC.as_bytes()).unwrap();
    let listed = JwtKeys::parse(jwks(&[Signer::rsa().jwk("r")]).as_bytes()).unwrap();
    for keys in [public, listed] {
        for tokens in [
            opened(config(keys.clone()), &clock),
            opened(
                config(keys.clone()).with_algorithms(&["RS256", "RS512", "PS256", "ES256"]).unwrap(),
                &clock,
            ),
        ] {
            // A public key, in every form somebody may have it, taken for a secret.
            for secret in
                [RSA_PUBLIC.as_bytes(), RSA_PUBLIC.trim().as_bytes(), RSA_MODULUS.trim().as_bytes(), b""]
            {
                let forged = Signer::Secret(secret.to_vec());
                for algorithm in ["HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "EdDSA"] {
                    let token = forged.token_with(&json!({"alg": algorithm, "kid": "r"}), &claims());
                    unidentified(ask(&tokens, &token).await);
                }
            }
            for algorithm in ["none", "None", "NONE", "", "nOnE"] {
                let token = Signer::Nobody.token_with(&json!({"alg": algorithm, "kid": "r"}), &claims());
                unidentified(ask(&tokens, &token).await);
                unidentified(ask(&tokens, token.trim_end_matches('.')).await);
            }
            // A key that the token itself brings is not looked at.
            let own = Signer::ed();
            let header =
                json!({"alg": "EdDSA", "kid": "r", "jwk": own.jwk("r"), "jku": "https://evil.example/jwks"});
            unidentified(ask(&tokens, &own.token_with(&header, &claims())).await);
            // What is signed well with an algorithm that is not the key's.
            let good = Signer::rsa();
            unidentified(
                ask(&tokens, &good.token_with(&json!({"alg": "RS384", "kid": "r"}), &claims())).await,
            );
            unidentified(
                ask(&tokens, &good.token_with(&json!({"alg": "RS256", "crit": ["exp"]}), &claims())).await,
            );
            ask(&tokens, &good.token("r", &claims())).await.unwrap();
        }
        for names in [&["HS256"][..], &["RS256", "HS256"]] {
            let config = config(keys.clone()).with_algorithms(names).unwrap();
            let error = SignedTokens::new(config, clock.clone()).unwrap_err().to_string();
            assert!(error.contains("public"), "{error}");
        }
    }
    for name in ["none", "rs256", "", "HS1"] {
        config(JwtKeys::secret(SECRET).unwrap()).with_algorithms(&[name]).unwrap_err();
    }
    let mixed = config(JwtKeys::secret(SECRET).unwrap()).with_algorithms(&["HS256", "RS256"]).unwrap();
    SignedTokens::new(mixed, clock.clone()).unwrap_err();
    JwtKeys::secret(&SECRET[..31]).unwrap_err();
    // A secret in a list that others may read is no secret.
    JwtKeys::parse(jwks(&[Signer::Secret(SECRET.to_vec()).jwk("s")]).as_bytes()).unwrap_err();
}

#[tokio::test]
async fn what_was_changed_or_is_for_others_or_of_another_time_opens_nothing() {
    let clock = clock();
    let (signer, other) = (Signer::ed(), Signer::ed());
    let tokens = opened(config(JwtKeys::parse(jwks(&[signer.jwk("k")]).as_bytes()).unwrap()), &clock);
    let good = signer.token("k", &claims());
    ask(&tokens, &good).await.unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let forged = base64(with(json!({"tenant": "zeta"})).to_string().as_bytes());
    for changed in [
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        other.token("k", &claims()),
        "a.b.c".to_owned(),
        "..".to_owned(),
    ] {
        unidentified(ask(&tokens, &changed).await);
    }
    for wrong in [
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"iss": ["https://id.example", "x"]}),
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": {"bank": true}}),
        json!({"exp": null}),
        json!({"exp": "2000000600"}),
        json!({"exp": 1_999_999_000}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
        json!({"exp": [2_000_000_600]}),
        json!({"nbf": 2_000_000_500}),
        json!({"nbf": "soon"}),
        json!({"nbf": true}),
    ] {
        let told = unidentified(ask(&tokens, &signer.token("k", &with(wrong.clone()))).await);
        assert!(!told.is_empty(), "{wrong}");
    }
    for good in [
        json!({"aud": "bank"}),
        json!({"nbf": null}),
        json!({"nbf": 2_000_000_020}),
        json!({"exp": 1_999_999_990.5}),
    ] {
        ask(&tokens, &signer.token("k", &with(good))).await.unwrap();
    }
    clock.advance(Duration::from_secs(700));
    assert!(unidentified(ask(&tokens, &good).await).contains("expired"));
    let no_audience = JwtConfig::new("https://id.example", Vec::new(), JwtKeys::secret(SECRET).unwrap());
    assert!(SignedTokens::new(no_audience, clock).unwrap_err().to_string().contains("audience"));
}

#[tokio::test]
async fn claims_are_mapped_as_the_configuration_says() {
    let clock = clock();
    let signer = Signer::ed();
    let mut config = config(JwtKeys::parse(jwks(&[signer.jwk("k")]).as_bytes()).unwrap());
    config.tenant_claim = "https://bank.example/org".to_owned();
    config.actor_claim = "profile.name".to_owned();
    config.roles_claim = "realm_access.roles".to_owned();
    let tokens = opened(config, &clock);
    let mapped = |roles: Value| {
        with(json!({
            "https://bank.example/org": "zeta", "profile": {"name": "Ada"}, "realm_access": {"roles": roles},
        }))
    };
    for (roles, read) in [
        (json!(["a", "b"]), &["a", "b"][..]),
        (json!("a"), &["a"]),
        (json!("a b"), &["a", "b"]),
        (json!([]), &[]),
        (Value::Null, &[]),
    ] {
        let principal = ask(&tokens, &signer.token("k", &mapped(roles))).await.unwrap();
        assert_eq!((principal.tenant.as_str(), principal.actor.name.as_deref()), ("zeta", Some("Ada")));
        assert_eq!(principal.actor.roles, read);
    }
    let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    for (wrong, told) in [
        (claims(), "bank.example/org"),
        (with(json!({"https://bank.example/org": 7})), "no text"),
        (with(json!({"https://bank.example/org": ""})), "names no tenant"),
        (with(json!({"https://bank.example/org": "a/b"})), "names no tenant"),
        (with(json!({"https://bank.example/org": ["zeta"]})), "no text"),
        (with(json!({"https://bank.example/org": "zeta"})), "profile.name"),
        (with(json!({"https://bank.example/org": "zeta", "profile": {"name": "a\u{0}"}})), "names nobody"),
        (with(json!({"https://bank.example/org": "zeta", "profile": "Ada"})), "is missing"),
        (mapped(json!(7)), "neither a text nor a list"),
        (mapped(json!(["a", 7])), "neither a text nor a list"),
        (mapped(json!({"a": true})), "neither a text nor a list"),
        (mapped(json!(many)), "ROLES_MAX"),
    ] {
        match ask(&tokens, &signer.token("k", &wrong)).await {
            Err(Denied::Forbidden(reason)) => assert!(reason.contains(told), "{told}: {reason}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

/// What an issuer answers when its keys are asked for.
#[derive(Clone, Debug)]
enum Answer {
    Keys(String),
    Fails,
    Hangs,
    Leads(String),
    Floods,
}

struct Issuer {
    address: String,
    answers: watch::Sender<Answer>,
    asked: Arc<AtomicUsize>,
}

type Place = (watch::Receiver<Answer>, Arc<AtomicUsize>);

async fn answer(State((answers, asked)): State<Place>) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    let answer = answers.borrow().clone();
    match answer {
        Answer::Keys(keys) => keys.into_response(),
        Answer::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Hangs => std::future::pending().await,
        Answer::Leads(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Answer::Floods => vec![b' '; 3 << 20].into_response(),
    }
}

impl Issuer {
    async fn start(first: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (answers, receiver) = watch::channel(first);
        let asked = Arc::<AtomicUsize>::default();
        let router = Router::new().fallback(answer).with_state((receiver, asked.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, answers, asked }
    }

    fn now(&self, answer: Answer) {
        self.answers.send_replace(answer);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn tokens(&self, clock: &Arc<ManualClock>) -> SignedTokens {
        opened(config(JwtKeys::at(&self.address).unwrap()), clock)
    }
}

fn is_away(answer: &Result<Principal, Denied>) -> bool {
    matches!(answer, Err(Denied::Away { retry_after: Some(_) }))
}

/// Claims that last as long as a test.
fn lasting() -> Value {
    with(json!({"exp": 2_100_000_000}))
}

#[tokio::test]
async fn an_issuer_that_is_away_at_first_is_asked_again_and_not_too_often() {
    let clock = clock();
    let signer = Signer::ed();
    let issuer = Issuer::start(Answer::Fails).await;
    let tokens = issuer.tokens(&clock);
    assert_eq!(issuer.asked(), 0, "nobody asks before there is a token");
    let token = signer.token("k", &lasting());
    for wrong in [
        Answer::Fails,
        Answer::Keys("no keys".to_owned()),
        Answer::Keys(jwks(&[])),
        Answer::Keys(jwks(&[Signer::Nobody.jwk("k")])),
        Answer::Leads("http://127.0.0.1:1/".to_owned()),
        Answer::Floods,
    ] {
        let before = issuer.asked();
        issuer.now(wrong.clone());
        for _ in 0..20 {
            assert!(is_away(&ask(&tokens, &token).await), "{wrong:?}");
        }
        assert_eq!(issuer.asked(), before + 1, "{wrong:?}");
        assert!(tokens.trouble().is_some());
        clock.advance(JWKS_RETRY_INTERVAL);
    }
    issuer.now(Answer::Keys(jwks(&[signer.jwk("k"), Signer::Nobody.jwk("odd")])));
    ask(&tokens, &token).await.unwrap();
    assert_eq!(tokens.trouble(), None);
    // A port where nobody listens.
    let gone = opened(config(JwtKeys::at("http://127.0.0.1:1/jwks").unwrap()), &clock);
    assert!(is_away(&ask(&gone, &token).await));
}

#[tokio::test]
async fn an_issuer_that_hangs_has_a_deadline_and_all_who_wait_share_it() {
    let clock = clock();
    let signer = Signer::ed();
    let issuer = Issuer::start(Answer::Hangs).await;
    let tokens = Arc::new(issuer.tokens(&clock));
    let token = signer.token("k", &lasting());
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tokens, token) = (tokens.clone(), token.clone());
        asking.spawn(async move { ask(&tokens, &token).await });
    }
    while issuer.asked() == 0 {
        tokio::task::yield_now().await;
    }
    // One that goes away takes the answer from nobody.
    asking.abort_all();
    while asking.join_next().await.is_some() {}
    let waiting = ask(&tokens, &token);
    let time = async {
        loop {
            clock.advance(JWKS_FETCH_MAX / 4);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = waiting => assert!(is_away(&answer), "{answer:?}"),
        () = time => unreachable!("time goes on for ever"),
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn keys_that_change_are_found_and_invented_ones_cost_the_issuer_little() {
    let clock = clock();
    let (old, new) = (Signer::ed(), Signer::ec());
    let issuer = Issuer::start(Answer::Keys(jwks(&[old.jwk("old")]))).await;
    let tokens = issuer.tokens(&clock);
    let (by_old, by_new) = (old.token("old", &lasting()), new.token("new", &lasting()));
    ask(&tokens, &by_old).await.unwrap();
    issuer.now(Answer::Keys(jwks(&[new.jwk("new")])));
    for number in 0..200 {
        unidentified(ask(&tokens, &old.token(&format!("invented-{number}"), &lasting())).await);
    }
    assert_eq!(issuer.asked(), 1, "the issuer was asked a moment ago");
    clock.advance(JWKS_UNKNOWN_INTERVAL);
    for number in 0..200 {
        unidentified(ask(&tokens, &old.token(&format!("invented-{number}"), &lasting())).await);
    }
    assert_eq!(issuer.asked(), 2);
    // The flood has brought the new keys, and taken the old one away.
    ask(&tokens, &by_new).await.unwrap();
    unidentified(ask(&tokens, &by_old).await);
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn keys_hold_for_a_while_where_their_issuer_is_away() {
    let clock = clock();
    let signer = Signer::ed();
    let issuer = Issuer::start(Answer::Keys(jwks(&[signer.jwk("k")]))).await;
    let tokens = issuer.tokens(&clock);
    let token = signer.token("k", &lasting());
    ask(&tokens, &token).await.unwrap();
    issuer.now(Answer::Fails);
    clock.advance(JWKS_FRESH);
    // Whoever has a key that is known waits for nobody.
    ask(&tokens, &token).await.unwrap();
    while tokens.trouble().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.asked(), 2);
    clock.advance(JWKS_KEPT_MAX - JWKS_FRESH - Duration::from_secs(1));
    ask(&tokens, &token).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(is_away(&ask(&tokens, &token).await));
    issuer.now(Answer::Keys(jwks(&[signer.jwk("k")])));
    clock.advance(JWKS_RETRY_INTERVAL);
    ask(&tokens, &token).await.unwrap();
    assert!(clock.now() > Timestamp::UNIX_EPOCH);
}

#[tokio::test]
async fn a_key_that_is_not_known_is_no_lie_while_its_issuer_is_away() {
    let clock = clock();
    let (old, new) = (Signer::ed(), Signer::ec());
    let issuer = Issuer::start(Answer::Keys(jwks(&[old.jwk("old")]))).await;
    let tokens = issuer.tokens(&clock);
    let (by_old, by_new) = (old.token("old", &lasting()), new.token("new", &lasting()));
    ask(&tokens, &by_old).await.unwrap();
    issuer.now(Answer::Fails);
    clock.advance(JWKS_UNKNOWN_INTERVAL);
    for _ in 0..20 {
        let answer = ask(&tokens, &by_new).await;
        assert!(is_away(&answer), "the issuer has begun to sign with another key: {answer:?}");
    }
    assert_eq!(issuer.asked(), 2);
    ask(&tokens, &by_old).await.unwrap();
    issuer.now(Answer::Keys(jwks(&[new.jwk("new")])));
    clock.advance(JWKS_UNKNOWN_INTERVAL);
    ask(&tokens, &by_new).await.unwrap();
    unidentified(ask(&tokens, &by_old).await);
}

#[test]
fn an_address_with_a_password_is_refused_without_it() {
    let told = JwtKeys::at("https://me:hunter2@id.example/jwks").unwrap_err().to_string();
    assert!(told.contains("password") && !told.contains("hunter2"), "{told}");
}
