/// Each mistake is shown where it stands, with what to write instead.
#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
