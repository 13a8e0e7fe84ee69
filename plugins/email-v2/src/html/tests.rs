use proptest::prelude::*;

use super::{holds_a_tag, to_text};

#[test]
fn a_tag_makes_html_and_angle_brackets_alone_do_not() {
    for html in [
        "<p>Hi</p>",
        "a<br>b",
        "a<BR/>b",
        "<!DOCTYPE html>",
        "x </td> y",
        "<a href='x'>y</a>",
        "<o:p></o:p><b >",
    ] {
        assert!(holds_a_tag(html), "{html}");
    }
    for plain in [
        "",
        "a < b > c",
        "Ana <ana@example.com>",
        "<https://example.com>",
        "Dear <name>,",
        "<p",
        "1<b",
        "<3 <3",
    ] {
        assert!(!holds_a_tag(plain), "{plain}");
    }
}

#[test]
fn blocks_become_lines_and_paragraphs() {
    assert_eq!(
        to_text("<h1>Title</h1>\n\n<p>One\n  two</p><p>Three<br>four</p>"),
        "Title\n\nOne two\n\nThree\nfour"
    );
    assert_eq!(to_text("<div>a</div><div>b</div>"), "a\nb");
    assert_eq!(to_text("a<br><br><br><br>b"), "a\n\nb");
}

#[test]
fn tables_become_rows() {
    let html = "<table><tr><td>Item</td> <td>Price</td></tr>\n<tr><td>Tea</td><td>3&nbsp;&euro;</td></tr></table>";
    assert_eq!(to_text(html), "Item Price\nTea 3 €");
}

#[test]
fn lists_have_marks() {
    let html = "<p>To do</p><ul><li>one<li>two<ol start=3><li>a</li><li>b</li></ol></li></ul>end";
    assert_eq!(to_text(html), "To do\n\n- one\n- two\n  3. a\n  4. b\n\nend");
}

#[test]
fn a_link_shows_its_address_once() {
    assert_eq!(
        to_text(r#"<a href="https://example.com/a?b=1&amp;c=2">Pay now</a>."#),
        "Pay now (https://example.com/a?b=1&c=2)."
    );
    assert_eq!(
        to_text(r#"<a href="https://example.com/">example.com</a>"#),
        "example.com"
    );
    assert_eq!(
        to_text(r#"<a href='mailto:a@example.com'>a@example.com</a>"#),
        "a@example.com"
    );
    assert_eq!(
        to_text(r#"<a href="https://example.com"><img src="cid:x" alt=""></a>"#),
        "https://example.com"
    );
    assert_eq!(
        to_text(r##"<a href="#top">Top</a> <a href="javascript:x()">y</a>"##),
        "Top y"
    );
}

#[test]
fn what_is_never_shown_is_left_out() {
    let html = "<html><head><title>T</title><style>p > a { color: red }</style></head><!-- <p>no</p> -->\
                <body><script>if (a<b) { }</SCRIPT ><p>yes</p><!--[if mso]><p>no</p><![endif]--></body></html>";
    assert_eq!(to_text(html), "yes");
    assert_eq!(to_text("a<!-- never closed"), "a");
    assert_eq!(to_text("a<style>never closed"), "a");
}

#[test]
fn pictures_speak_and_preformatted_text_stays() {
    assert_eq!(to_text(r#"Hi <img alt="our logo" src=x>!"#), "Hi our logo!");
    assert_eq!(to_text("x<pre>  a\n    b\n</pre>y"), "x\n\n  a\n    b\n\ny");
}

#[test]
fn what_is_no_markup_is_text() {
    assert_eq!(to_text("1 < 2 && 3 > 2 <3"), "1 < 2 && 3 > 2 <3");
    assert_eq!(to_text("a <b"), "a <b");
    assert_eq!(to_text(r#"<p title="a > b">c</p>"#), "c");
    assert_eq!(to_text(r#"<p title="never closed>c"#), "c");
}

#[test]
fn the_pass_is_linear_in_what_an_attacker_sends() {
    // Each of these is quadratic in a reader that looks for an end again and again; a quarter of a megabyte of it would then take
    // minutes, and the test would not end.
    for unit in [
        "<",
        "<a ",
        "<a '>' ",
        "<a \"",
        "&",
        "&#",
        "<!--",
        "<style></",
        "<li>",
        "</a><a href=http:x>",
        "<ol>",
    ] {
        let text = to_text(&unit.repeat(1 << 18 >> unit.len().ilog2()));
        assert!(text.len() <= 64 << 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn no_text_makes_it_panic_and_no_line_is_left_blank_twice(
        html in proptest::collection::vec(prop_oneof![
            Just("<".to_owned()), Just(">".to_owned()), Just("</".to_owned()), Just("<!--".to_owned()), Just("<a href=\"".to_owned()),
            Just("</a>".to_owned()), Just("<li>".to_owned()), Just("<ol start=".to_owned()), Just("<br>".to_owned()),
            Just("&#x".to_owned()), Just("&amp".to_owned()), Just("<img alt=".to_owned()), Just("<style>".to_owned()),
            Just("<p>".to_owned()), Just(" \n".to_owned()), "\\PC{0,4}", ".{0,4}",
        ], 0..20).prop_map(|pieces| pieces.concat())
    ) {
        let text = to_text(&html);
        prop_assert!(!text.contains("\n\n\n") && !text.ends_with(char::is_whitespace), "{text:?}");
        let _ = holds_a_tag(&html);
    }
}
