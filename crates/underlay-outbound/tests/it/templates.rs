//! Templates: what they say, what they escape, and what is wrong with one.

use schemars::JsonSchema;
use serde::Serialize;
use underlay_core::{Email, Error, Mailbox};
use underlay_outbound::mail::Template;

const TEXT: &str = "Subject: Verify {{ member.name }} at {{ bank }}

Hello {{ member.name }},
{% if link %}follow {{ link }}
{% endif %}{% for line in lines %}- {{ line.what }}: {{ line.amount }}
{% endfor %}The bank
";
const HTML: &str = "<p title=\"{{ member.name }}\">Hello {{ member.name }}</p>
<a href=\"{{ link }}\">link</a>";

#[derive(Clone, Serialize, JsonSchema)]
struct Verification {
    bank: String,
    member: Member,
    link: Option<String>,
    lines: Vec<Line>,
}

#[derive(Clone, Serialize, JsonSchema)]
struct Member {
    name: String,
}

#[derive(Clone, Serialize, JsonSchema)]
struct Line {
    what: String,
    amount: Option<u32>,
}

fn values(name: &str) -> Verification {
    Verification {
        bank: "The Bank".to_owned(),
        member: Member { name: name.to_owned() },
        link: Some("https://example.com/?a=1&b=2".to_owned()),
        lines: vec![Line { what: "fee".to_owned(), amount: Some(5) }],
    }
}

fn rendered(values: &Verification) -> Result<Email, Error> {
    let template = Template::<Verification>::new("verification", TEXT).unwrap().with_html(HTML).unwrap();
    template.render(Mailbox::new("ann@example.com").unwrap(), values)
}

#[test]
fn values_stand_where_the_template_shows_them() {
    let mail = rendered(&values("Ann")).unwrap();
    assert_eq!(mail.subject(), "Verify Ann at The Bank");
    let text = "Hello Ann,\nfollow https://example.com/?a=1&b=2\n- fee: 5\nThe bank\n";
    assert_eq!(mail.text(), text);
    let html = mail.html().unwrap();
    assert!(html.starts_with("<p title=\"Ann\">Hello Ann</p>\n"), "{html}");
    assert!(html.contains("a=1&amp;b=2"), "{html}");
}

#[test]
fn a_value_is_text_in_html_and_one_line_in_a_subject() {
    for hostile in [
        "\"><script>alert('x')</script>&",
        "Ann\r\nBcc: eve@example.com",
        "Ann\u{2028}\u{85}\tX",
        "{{ bank }}{% if x %}",
    ] {
        let mail = rendered(&values(hostile)).unwrap();
        assert!(
            !mail.subject().contains(|c: char| c.is_control() || c == '\u{2028}'),
            "{:?}",
            mail.subject()
        );
        let html = mail.html().unwrap();
        assert!(!html.contains("<script") && html.matches('"').count() == 4, "{html}");
    }
    let mail = rendered(&values("A\r\nB")).unwrap();
    assert_eq!(mail.subject(), "Verify A  B at The Bank");
    assert_eq!(rendered(&values("{{ bank }}")).unwrap().subject(), "Verify {{ bank }} at The Bank");
}

#[test]
fn a_missing_value_is_an_error_where_it_is_shown() {
    // Asked for, none is fine; shown it is not.
    let without =
        Verification { lines: vec![Line { what: "fee".to_owned(), amount: None }], ..values("Ann") };
    let wrong = rendered(&without).unwrap_err().to_string();
    assert!(wrong.contains("the text of template verification") && wrong.contains("line 3"), "{wrong}");
    // The text asks for it first, the HTML does not.
    let wrong = rendered(&Verification { link: None, ..values("Ann") }).unwrap_err().to_string();
    assert!(wrong.contains("the HTML of template verification") && wrong.contains("line 2"), "{wrong}");
    let too_long = rendered(&values(&"long ".repeat(200))).unwrap_err().to_string();
    assert!(too_long.contains("MAIL_SUBJECT_BYTES_MAX"), "{too_long}");
}

#[test]
fn a_template_is_checked_as_it_is_made() {
    let of = |source: &'static str| Template::<Verification>::new("welcome", source).map(drop);
    for (source, part) in [
        ("Hello", "Subject: …"),
        ("Subject: Hello\nHello", "Subject: …"),
        ("Subject: Hello", "Subject: …"),
        ("Subject: {{ bank\n\nHello", "the subject of template welcome: syntax error"),
        ("Subject: Hello\n\na\n{% if bank %}", "the text of template welcome: syntax error"),
        ("Subject: Hello\n\n{{ bnak }}", "there is no value bnak"),
        ("Subject: Hello\n\n{{ member.nam }}", "there is no value member.nam"),
        ("Subject: Hello\n\n{% for line in rows %}{% endfor %}", "there is no value rows"),
        ("Subject: Hello\n\n{{ bank|shout }}", "unknown filter"),
        ("Subject: Hello\n\n{{ draw() }}", "draw"),
        ("Subject: Hello\n\n{% include \"other\" %}", "syntax error"),
    ] {
        let wrong = of(source).unwrap_err().to_string();
        assert!(wrong.contains(part), "{source:?}: {wrong}");
    }
    of("Subject: Hello\r\n\r\nHello {{ bank|upper }}").unwrap();
    of("\u{feff}Subject: Hello {{ lines|length }}\n\n{{ lines[0].what }}").unwrap();
    let html = Template::<Verification>::new("welcome", TEXT).unwrap().with_html("<p>{{ nmae }}</p>");
    assert!(html.unwrap_err().to_string().contains("the HTML of template welcome: there is no value nmae"));
}

#[test]
fn values_may_be_shaped_as_their_type_likes() {
    #[derive(Serialize, JsonSchema)]
    struct Shaped {
        #[serde(rename = "fullName")]
        name: String,
        #[serde(flatten)]
        member: Place,
        more: serde_json::Value,
    }

    #[derive(Serialize, JsonSchema)]
    struct Place {
        city: String,
    }

    let source = "Subject: {{ fullName }}\n\n{{ city }} {{ more.anything.at.all }}";
    let template = Template::<Shaped>::new("shaped", source).unwrap();
    assert!(Template::<Shaped>::new("shaped", "Subject: {{ name }}\n\nx").is_err());
    let more = serde_json::json!({"anything": {"at": {"all": 1}}});
    let to = || Mailbox::new("ann@example.com").unwrap();
    let place = || Place { city: "Łódź".to_owned() };
    let mail = template.render(to(), &Shaped { name: "A".to_owned(), member: place(), more }).unwrap();
    assert_eq!((mail.subject(), mail.text()), ("A", "Łódź 1\n"));
    let missing = Shaped { name: "A".to_owned(), member: place(), more: serde_json::json!({}) };
    assert!(template.render(to(), &missing).is_err());
}
