//! As whom a service is asked, and what is told of that.

use underlay_core::adapter::{Adapter, OptionValues};
use underlay_core::{Entities, EntityChange, Error, TenantId};
use underlay_outbound::http::{HttpAdapter, HttpConfig, HttpEntities};

use super::script::{Script, answer, config, get, missing, page, rate, rates_schema};

fn opened(address: &str) -> Result<HttpEntities, Error> {
    HttpEntities::new(address, config())
}

#[tokio::test]
async fn each_tenant_goes_with_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "acme secret-of-acme\nzeta secret-of-zeta\n").unwrap();
    let script = Script::of([page(&[], None), rate(3, "1"), missing(), answer(401, &[], "")]).await;
    let address = format!("http://{}/v1/entities/rate?token_file={}", script.authority, file.display());
    let rates = opened(&address).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    let load = async |tenant: &str| {
        rates.load(&rates_schema(), &TenantId::new(tenant).unwrap(), &["eur".to_owned()]).await
    };
    assert!(load("acme").await.unwrap()[0].is_some());
    assert!(load("zeta").await.unwrap()[0].is_none(), "what was kept is another tenant's");
    let tokens: Vec<Option<String>> =
        script.heard().iter().map(|heard| heard.header("authorization").map(str::to_owned)).collect();
    let bearer = |tenant: &str| Some(format!("Bearer secret-of-{tenant}"));
    assert_eq!(tokens, [bearer("acme"), bearer("acme"), bearer("zeta")]);
    assert!(script.heard()[2].header("if-none-match").is_none());
    // Nobody is asked for a tenant without a token.
    assert!(matches!(load("other").await, Err(Error::Denied(_))));
    assert_eq!(script.heard().len(), 3);
    let denied = load("acme").await.unwrap_err().to_string();
    assert!(!denied.contains("secret") && !format!("{rates:?}").contains("secret"), "{denied}");
}

#[tokio::test]
async fn tokens_are_read_again_where_the_service_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "acme first\n").unwrap();
    let looked = || page(&[], None);
    let script = Script::of([looked(), looked(), rate(3, "1"), rate(3, "1")]).await;
    let address = format!("http://{}/v1/entities/rate?token_file={}", script.authority, file.display());
    let opened = HttpAdapter::new(config()).open(&address, &OptionValues::new()).await.unwrap();
    let (rates, health) = (opened.entities.unwrap(), opened.health.unwrap());
    rates.prepare(&rates_schema()).await.unwrap();
    std::fs::write(&file, "acme second\n").unwrap();
    health.check().await.unwrap();
    let load = async || rates.load(&rates_schema(), &super::script::tenant(), &["eur".to_owned()]).await;
    load().await.unwrap();
    // One that does not fit, or would mix the tenants, changes nothing and is told.
    for wrong in ["", "acme a third one", "of-everybody"] {
        std::fs::write(&file, wrong).unwrap();
        let told = health.check().await.unwrap_err();
        assert!(matches!(told, Error::Invalid(_)) && told.to_string().contains("token"), "{told}");
        assert!(!told.to_string().contains("everybody"), "{told}");
    }
    load().await.unwrap();
    let heard = script.heard();
    let tokens: Vec<&str> = heard.iter().filter_map(|heard| heard.header("authorization")).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer second", "Bearer second", "Bearer second"]);
}

#[tokio::test]
async fn a_header_or_the_path_names_the_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "key-of-all").unwrap();
    let script = Script::of([answer(401, &[], ""), rate(3, "1")]).await;
    let options = format!("tenant_header=x-tenant&token_header=x-api-key&token_file={}", file.display());
    let rates = opened(&format!("http://{}/v1/entities/rate?{options}", script.authority)).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    get(&rates).await.unwrap();
    let heard = &script.heard()[1];
    assert_eq!((heard.header("x-tenant"), heard.header("x-api-key")), (Some("acme"), Some("key-of-all")));
    assert_eq!(heard.header("authorization"), None);
    let script = Script::of([answer(404, &[], ""), rate(3, "1")]).await;
    let rates = opened(&format!("http://{}/of/{{tenant}}/{{entity}}", script.authority)).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    get(&rates).await.unwrap();
    assert_eq!(script.heard()[1].target, "/of/acme/rate/eur");
}

#[tokio::test]
async fn an_id_is_one_part_of_the_path() {
    let (script, rates) = Script::with_rates(vec![missing(); 4]).await;
    for id in ["a/b", "..", "a b?c#d%e", "é"] {
        rates.load(&rates_schema(), &super::script::tenant(), &[id.to_owned()]).await.unwrap();
    }
    let targets: Vec<String> = script.heard().into_iter().map(|heard| heard.target).collect();
    let list = "/v1/entities/rate";
    let encoded = ["a%2Fb", "%2E%2E", "a%20b%3Fc%23d%25e", "%C3%A9"];
    assert_eq!(targets, encoded.map(|id| format!("{list}/{id}")));
}

#[tokio::test]
async fn tenants_that_nobody_tells_apart_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "secret-of-all").unwrap();
    for options in ["".to_owned(), format!("?token_file={}", file.display())] {
        let refused = opened(&format!("https://rates.example/rate{options}")).unwrap_err().to_string();
        assert!(refused.contains("shared=true") && !refused.contains("secret"), "{refused}");
    }
    std::fs::write(&file, "acme secret of three").unwrap();
    let refused = opened(&format!("https://h/rate?token_file={}", file.display())).unwrap_err().to_string();
    assert!(refused.contains("line 1") && !refused.contains("secret"), "{refused}");
    let missing = opened("https://h/rate?token_file=/none/there").unwrap_err().to_string();
    assert!(missing.contains("/none/there"), "{missing}");
}

#[tokio::test]
async fn one_address_is_of_one_entity_unless_it_says_where_the_name_goes() {
    let script = Script::of([page(&[], None), page(&[], None)]).await;
    let rates = opened(&script.address("")).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    let mut others = rates_schema();
    others.name = "note".to_owned();
    let refused = rates.prepare(&others).await.unwrap_err().to_string();
    assert!(
        refused.contains("{entity}") && refused.contains("note") && refused.contains("rate"),
        "{refused}"
    );
    let unit = ["a", "b"].map(|id| EntityChange::delete(rates_schema().into(), id, None));
    let refused = rates.apply(&super::script::tenant(), unit.to_vec()).await.unwrap_err().to_string();
    assert!(refused.contains("one at a time"), "{refused}");
    assert_eq!(script.heard().len(), 1);
}

#[tokio::test]
async fn the_adapter_opens_an_address_and_shows_no_password() {
    let adapter = HttpAdapter::new(HttpConfig::default());
    let none = OptionValues::new();
    let backend = adapter.open("https://rates.example/rate?shared=true", &none).await.unwrap();
    assert!(backend.entities.is_some() && backend.store.is_none());
    let shared = OptionValues::from([("shared".to_owned(), "true".to_owned())]);
    adapter.open_existing("https://rates.example/rate", &shared).await.unwrap();
    let secret = "https://me:secret@rates.example/rate?shared=true";
    let refused = adapter.open(secret, &none).await.err().unwrap().to_string();
    assert!(refused.contains("token_file") && !refused.contains("secret"), "{refused}");
    assert!(!adapter.shown(secret).contains("secret"));
    for (address, part) in [
        ("http://rates.example/rate?shared=true", "allow_plain"),
        ("https://rates.example/rate?shared=true&items=x", "api=plain"),
        ("https://rates.example?shared=true", "path"),
    ] {
        let refused = adapter.open(address, &none).await.err().unwrap().to_string();
        assert!(refused.contains(part), "{refused}");
    }
}
