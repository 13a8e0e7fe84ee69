//! What is ours beside FreeMarker: inserted values, escaping, places of errors, limits, analysis.

use pipepost_freemarker::{Context, Escape, Limits, Locale, Model, Options, Piece, RenderErrorKind, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(source: &str) -> Template {
    Template::parse(&[Piece::Source(source)], &Options::default()).expect(source)
}

fn render(source: &str, model: &Value) -> String {
    parse(source)
        .render(&Model::new(model), &[], &Context::default())
        .expect(source)
}

fn refusal(source: &str) -> (u32, u32, String, bool) {
    let error = Template::parse(&[Piece::Source(source)], &Options::default()).expect_err(source);
    (
        error.line(),
        error.column(),
        error.message().to_owned(),
        error.is_unsupported(),
    )
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_place() {
    let cases = [
        (
            "a\n  <#include \"x\">",
            2,
            3,
            "the directive <#include> is not supported",
        ),
        ("<#macro m></#macro>", 1, 1, "the directive <#macro> is not supported"),
        ("x <@m/>", 1, 3, "calls of macros"),
        ("${\"1\"?eval}", 1, 7, "the built-in ?eval is not supported"),
        (
            "${\"freemarker.template.utility.Execute\"?new()}",
            1,
            41,
            "the built-in ?new is not supported",
        ),
        ("${a.b()}", 1, 6, "calls of functions and methods"),
        ("${l?truncate(3)}", 1, 5, "the built-in ?truncate is not supported"),
        ("${l?filter(check)}", 1, 12, "takes a lambda with one variable"),
        ("#{a}", 1, 1, "numeric interpolation"),
        ("${s?replace(\"a\", \"b\", \"x\")}", 1, 23, "only i (ignore case)"),
        ("${.main}", 1, 3, "special variable .main"),
        (
            "<#setting classic_compatible=true>",
            1,
            11,
            "the setting 'classic_compatible'",
        ),
        (
            "<#ftl output_format=\"HTML\">",
            1,
            7,
            "the header setting output_format",
        ),
    ];
    for (source, line, column, message) in cases {
        let (at_line, at_column, text, unsupported) = refusal(source);
        assert_eq!((at_line, at_column), (line, column), "{source}: {text}");
        assert!(text.contains(message), "{source}: {text}");
        assert!(unsupported, "{source}: {text}");
    }
}

#[test]
fn malformed_templates_are_refused_with_their_place() {
    let cases = [
        ("${a?uper_case}", 1, 5, "did you mean ?upper_case?"),
        ("<#lst a as b>", 1, 1, "did you mean <#list>?"),
        ("x\n<#if a>\ny", 2, 1, "</#if> is missing"),
        ("<#if a>\n</#list>", 2, 1, "the </#if> of line 1 is missing"),
        ("${a", 1, 1, "'}' is missing"),
        ("${a b}", 1, 5, "'}' or an operator is expected"),
        ("<#if a >= 1>x</#if>", 1, 8, "write gte"),
        ("${a?cap_first(1)}", 1, 5, "?cap_first takes 0 arguments, not 1"),
        ("<#setting locale=\"xx\">", 1, 18, "the locale 'xx' is not supported"),
        ("<#setting number_format=\"0.0.0\">", 1, 25, "two decimal points"),
        ("<#-- open", 1, 1, "the comment is not closed"),
        ("${x?index}", 1, 5, "wants the variable of a surrounding <#list>"),
        ("${s?no_esc}", 1, 5, "only where escaping is on"),
    ];
    for (source, line, column, message) in cases {
        let (at_line, at_column, text, unsupported) = refusal(source);
        assert_eq!((at_line, at_column), (line, column), "{source}: {text}");
        assert!(text.contains(message), "{source}: {text}");
        assert!(!unsupported, "{source}: {text}");
    }
}

#[test]
fn failures_while_rendering_name_the_place_and_the_path() {
    let model = json!({"order": {"id": 7}, "items": [{"n": 1}, {}], "t": true});
    let cases = [
        (
            "x\n ${order.total}",
            2,
            9,
            RenderErrorKind::Missing,
            "order.total is missing or null; write order.total!\"\"",
        ),
        (
            "<#list items as i>\n${i.n}\n</#list>",
            2,
            4,
            RenderErrorKind::Missing,
            "i.n is missing",
        ),
        (
            "${order}",
            1,
            3,
            RenderErrorKind::Invalid,
            "order is a hash, which cannot be printed",
        ),
        ("${t}", 1, 3, RenderErrorKind::Invalid, "use ?c or ?string"),
        (
            "<#if order.id>x</#if>",
            1,
            11,
            RenderErrorKind::Invalid,
            "order.id is a number, where a boolean is expected",
        ),
        ("${1 / 0}", 1, 5, RenderErrorKind::Invalid, "division by zero"),
    ];
    for (source, line, column, kind, message) in cases {
        let error = parse(source)
            .render(&Model::new(&model), &[], &Context::default())
            .expect_err(source);
        assert_eq!(
            (error.line(), error.column(), error.kind()),
            (line, column, kind),
            "{source}: {error}"
        );
        assert!(error.message().contains(message), "{source}: {error}");
    }
}

#[test]
fn inserted_values_are_data_wherever_they_stand() {
    let pieces = [
        Piece::Source("Dear "),
        Piece::Value {
            index: 0,
            source: "{{ message.name }}",
        },
        Piece::Source(",\n${\"<"),
        Piece::Value {
            index: 1,
            source: "{{ message.x }}",
        },
        Piece::Source(">\"?upper_case} ${bad}"),
    ];
    let template = Template::parse(&pieces, &Options::default()).expect("values in text and in a literal");
    let values = ["${1+1} <#if>".to_owned(), "a\"${b}".to_owned()];
    let text = template
        .render(&Model::new(&json!({"bad": "ok"})), &values, &Context::default())
        .expect("renders");
    assert_eq!(text, "Dear ${1+1} <#if>,\n<A\"${B}> ok");
    // The place of an error counts the inserted values at their written length.
    let error = template
        .render(&Model::new(&json!({})), &values, &Context::default())
        .expect_err("bad is missing");
    assert_eq!((error.line(), error.column()), (2, 37));
    let error = template
        .render(&Model::new(&json!({"bad": "ok"})), &[], &Context::default())
        .expect_err("no values");
    assert_eq!((error.line(), error.column()), (1, 6));
}

#[test]
fn inserted_values_are_refused_as_part_of_the_template() {
    for (before, after, column) in [
        ("${a + ", "}", 7),
        ("${", "}", 3),
        ("<#if ", ">x</#if>", 6),
        ("<#list a as ", "></#list>", 13),
        ("${a?", "}", 5),
        ("${a", "}", 4),
    ] {
        let pieces = [
            Piece::Source(before),
            Piece::Value {
                index: 0,
                source: "{{ x }}",
            },
            Piece::Source(after),
        ];
        let error = Template::parse(&pieces, &Options::default()).expect_err(before);
        assert_eq!((error.line(), error.column()), (1, column), "{before}: {error}");
    }
}

#[test]
fn the_escape_option_escapes_what_is_printed() {
    let options = Options {
        escape: Escape::Html,
        ..Options::default()
    };
    let pieces = [
        Piece::Source("<p>${h} ${h?html} ${h?no_esc} ${1.5} "),
        Piece::Value {
            index: 0,
            source: "{{ x }}",
        },
        Piece::Source("</p>"),
    ];
    let template = Template::parse(&pieces, &options).expect("a template");
    let text = template
        .render(
            &Model::new(&json!({"h": "<b>"})),
            &["a&b".to_owned()],
            &Context::default(),
        )
        .expect("renders");
    assert_eq!(text, "<p>&lt;b&gt; &lt;b&gt; <b> 1.5 a&amp;b</p>");
    assert!(template.unescaped().is_empty());
}

#[test]
fn unescaped_values_of_an_html_body_are_listed() {
    let source = "<p>${name} ${name?html} ${n?string(\"0.00\")} ${a!\"-\"}\n<#list 1..3 as i>${i} ${i_index}</#list><#list l as x>${x} ${x?counter}</#list>\n<#escape x as x?html>${y}</#escape> ${t?then(\"a\", \"b\")} ${\"n \" + 1} ${u?url} ${s?upper_case}</p>";
    let listed: Vec<(u32, u32, String)> = parse(source)
        .unescaped()
        .into_iter()
        .map(|one| (one.line, one.column, one.text))
        .collect();
    let expected = [
        (1, 4, "${name}"),
        (1, 45, "${a!\"-\"}"),
        (2, 55, "${x}"),
        (3, 78, "${s?upper_case}"),
    ];
    assert_eq!(
        listed,
        expected.map(|(line, column, text)| (line, column, text.to_owned()))
    );
    let pieces = [
        Piece::Source("<b>"),
        Piece::Value {
            index: 0,
            source: "{{ x }}",
        },
        Piece::Source("</b>"),
    ];
    let template = Template::parse(&pieces, &Options::default()).expect("a template");
    assert_eq!(template.unescaped()[0].text, "{{ x }}");
    assert!(parse("Hello ${name}").unescaped().is_empty());
}

#[test]
fn a_tag_makes_a_body_html() {
    for source in [
        "<p>x",
        "a<br/>b",
        "x</DIV>",
        "<!DOCTYPE html>",
        "<!-- c -->",
        "<td${a}>",
        "<a href='x'>",
    ] {
        assert!(parse(source).is_html(), "{source}");
    }
    for source in [
        "plain",
        "a < b",
        "Dear <name>",
        "<ana@example.com>",
        "<#if t>x</#if>",
        "1 <2> 3",
        "<-",
        "<https://example.com>",
    ] {
        assert!(!parse(source).is_html(), "{source}");
    }
}

#[test]
fn references_are_paths_of_the_model() {
    let source = "${a.b} ${a[\"c\"].d!\"x\"} <#list o.items as i>${i.name} ${i_index} <#list i.tags as t>${t}</#list></#list>\
        <#assign q = a.b>${q.z} <#if w??>${l[0].k}</#if> <#list l><#items as e>${e.v}</#items></#list> ${.data_model.root} ${(p.q)!} ${(c.n?html)!\"\"}";
    let found: Vec<(String, bool)> = parse(source)
        .references()
        .into_iter()
        .map(|one| (one.path, one.optional))
        .collect();
    let expected = [
        ("a.b", false),
        ("a.c.d", true),
        ("o.items", false),
        ("o.items[].name", false),
        ("o.items[].tags", false),
        ("o.items[].tags[]", false),
        ("a.b.z", false),
        ("w", true),
        ("l[0].k", false),
        ("l", false),
        ("l[].v", false),
        ("root", false),
        ("p.q", true),
        ("c.n", true),
    ];
    assert_eq!(found, expected.map(|(path, optional)| (path.to_owned(), optional)));
}

#[test]
fn variables_are_laid_over_the_model() {
    let (root, item, null) = (
        json!({"name": "root", "x": 1, "item": "old"}),
        json!({"name": "Ana"}),
        Value::Null,
    );
    let overlay = [("item", &item), ("x", &null)];
    let text =
        parse("${item.name} ${name} ${x!\"none\"}").render(&Model::new(&root).with(&overlay), &[], &Context::default());
    assert_eq!(text.expect("renders"), "Ana root none");
}

#[test]
fn the_context_gives_locale_zone_and_present() {
    let zone = jiff::tz::TimeZone::get("America/Sao_Paulo").expect("bundled");
    let now = "2020-09-06T05:02:45Z".parse().expect("a timestamp");
    let context = Context {
        locale: Locale::PtBr,
        time_zone: zone,
        now,
    };
    let text = parse("${1234.5} ${.now?string(\"d 'de' MMMM, HH:mm\")} ${.locale}").render(
        &Model::new(&Value::Null),
        &[],
        &context,
    );
    assert_eq!(text.expect("renders"), "1.234,5 6 de setembro, 02:02 pt_BR");
}

#[test]
fn loops_without_an_end_stop_at_the_limit() {
    let limits = Limits {
        output: 10_000,
        work: 100_000,
    };
    let endless = [
        "<#list 1.. as i></#list>",
        "<#list 1..1000000000 as i>x</#list>",
        "<#assign s = \"x\"><#list 1..100 as i><#assign s = s + s></#list>",
        "<#assign l = [1]><#list 1..100 as i><#assign l = l + l></#list>",
        "<#assign l = [1]><#list 1..1000 as i><#assign l = [l]></#list>",
        "${\"x\"?left_pad(1000000000)}",
        "${(1..1000000000)?join(\"\")}",
        "${(0..)[0..500000]?size}",
        "<#assign s = \"x\"?left_pad(9000)><#list 1..10 as i>${s?split(\"\")?size}${s?word_list?size}</#list>",
        "<#assign s = \"x\"?left_pad(5000)>${s?replace(\"\", s)}",
    ];
    for source in endless {
        let template = Template::parse(
            &[Piece::Source(source)],
            &Options {
                limits,
                ..Options::default()
            },
        )
        .expect(source);
        let error = template
            .render(&Model::new(&Value::Null), &[], &Context::default())
            .expect_err(source);
        assert_eq!(error.kind(), RenderErrorKind::Limit, "{source}: {error}");
    }
    // What is long but finite is no reason to stop.
    let long = render(
        "<#list 1..20000 as i>line ${i} of a long report\n</#list>${(1..20000)?join(\", \")}",
        &Value::Null,
    );
    assert!(long.len() > 600_000);
    let enough = Template::parse(
        &[Piece::Source("<#list 1..1000 as i>x</#list>")],
        &Options {
            limits,
            ..Options::default()
        },
    )
    .expect("a template");
    assert_eq!(
        enough
            .render(&Model::new(&Value::Null), &[], &Context::default())
            .expect("within the limits")
            .len(),
        1000
    );
}

#[test]
fn nesting_is_bounded_when_parsed_and_deep_enough_for_bodies() {
    let nested = |open: &str, middle: &str, close: &str, count: usize| {
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let deep = [
        format!("${{{}}}", nested("(", "1", ")", 10_000)),
        format!("${{{}}}", nested("[", "1", "]", 10_000)),
        format!("${{1{}}}", " + 1".repeat(10_000)),
        format!("${{a{}}}", ".b".repeat(10_000)),
        format!("${{{}true}}", "!".repeat(10_000)),
        format!("${{a{}}}", "!a".repeat(10_000)),
        nested("<#if true>", "x", "</#if>", 10_000),
    ];
    for source in deep {
        Template::parse(&[Piece::Source(&source)], &Options::default()).expect_err("too deep");
    }
    assert_eq!(
        render(&format!("${{{}}}", nested("(", "1", ")", 50)), &Value::Null),
        "1"
    );
    assert_eq!(render(&format!("${{1{}}}", " + 1".repeat(120)), &Value::Null), "121");
    assert_eq!(render(&nested("<#if true>", "x", "</#if>", 50), &Value::Null), "x");
    // All bounds at once, in a test's small stack.
    let sum = format!("1{}", " + 1".repeat(80));
    let inside = format!("${{\"${{{}}}\"}}", nested("(", &sum, ")", 45));
    assert_eq!(
        render(&nested("<#list [1] as i>", &inside, "</#list>", 55), &Value::Null),
        "81"
    );
}

#[test]
fn an_invoice_looks_as_it_should() {
    let model: Value = serde_json::from_str(include_str!("invoice/model.json")).expect("JSON");
    assert_eq!(
        render(include_str!("invoice/body.ftl"), &model),
        include_str!("invoice/expected.html")
    );
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(source in "\\PC{0,60}") {
        let _ = Template::parse(&[Piece::Source(&source)], &Options::default());
    }

    #[test]
    fn pieces_of_templates_never_panic(parts in proptest::collection::vec(proptest::sample::select(vec![
        "${", "}", "<#if ", "<#list ", " as x", ">", "</#if>", "</#list>", "<#else>", "<#elseif ", "<#assign ", "x", "=", "l", "s", "o", "\"", "'", "a${x}", "?", "??", "!", ".",
        "..", "*", "[", "]", "(", ")", "1", "2.5", "?size", "?string", "(\"0.00\")", "?join(\",\")", " + ", " - ", " == ", " gt ", "&lt;", "<#sep>", "<#switch x>", "<#case ", "<#break>",
        "<#default>", "</#switch>", "<#noparse>", "</#noparse>", "<#-- c -->", "\n", "  ", "<#escape x as x?html>", "</#escape>", "<#setting locale=", "<#items as i>", "</#items>", "é", "😀",
    ]), 0..25), value in 0usize..3) {
        let joined = parts.concat();
        let (first, second) = joined.split_at(joined.char_indices().nth(joined.chars().count() / 2).map_or(0, |(at, _)| at));
        let inserted = Piece::Value { index: 0, source: "{{ v }}" };
        let pieces = [Piece::Source(first), if value == 0 { inserted } else { Piece::Source(" ") }, Piece::Source(second)];
        let limits = Limits { output: 10_000, work: 10_000 };
        if let Ok(template) = Template::parse(&pieces, &Options { limits, ..Options::default() }) {
            let model = json!({"x": 1, "l": [1, "a", null, {"k": true}], "s": "é😀x", "o": {"k": 1}});
            let _ = template.render(&Model::new(&model), &["<v>".to_owned()], &Context::default());
            let _ = (template.unescaped(), template.references(), template.is_html());
        }
    }
}

#[test]
fn square_brackets_are_text_that_is_worth_a_word() {
    let parse = |text: &str| Template::parse(&[Piece::Source(text)], &Options::default());
    for (text, place) in [
        ("Dear\n [#if vip]friend[/#if]", Some((2, 2))),
        ("x [/#list] y", Some((1, 3))),
        ("[#macro a]", Some((1, 1))),
        ("[#1] and [#123] and [#issue]", None),
        ("see [#if", None),
        ("<#if true>a</#if>", None),
    ] {
        let found = parse(text).expect(text).square_bracket_directive();
        assert_eq!(found.map(|place| (place.line, place.column)), place, "{text}");
    }
    let refused = parse(" [#ftl]\n[#if true]a[/#if]").expect_err("the other syntax");
    assert!(
        refused.is_unsupported() && refused.message().contains("write <#if>"),
        "{refused}"
    );
}

#[test]
fn what_freemarker_has_is_told_from_what_nobody_has() {
    let error = |text: &str| Template::parse(&[Piece::Source(text)], &Options::default()).expect_err(text);
    for text in [
        "${x?eval}",
        "${x?truncate(3)}",
        "${x?interpret}",
        "${x?with_args_last([1])}",
        "<#macro m></#macro>",
    ] {
        assert!(error(text).is_unsupported(), "{text}");
    }
    for text in ["${x?uper_case}", "${x?xyz}", "<#fi>"] {
        assert!(!error(text).is_unsupported(), "{text}");
    }
    assert!(error("${x?uper_case}").message().contains("did you mean ?upper_case?"));
    assert!(!error("${x?xyz}").message().contains("did you mean"));
    let lambda = error("${l?filter(check)}");
    assert!(lambda.message().contains("filter(x -> x.name)"), "{lambda}");
}

#[test]
fn lambdas_are_bounded_and_leave_nothing_behind() {
    let model = serde_json::json!({"l": [1, 2, 3], "x": "outer"});
    let mut options = Options::default();
    options.limits.work = 100_000;
    let render = |text: &str| {
        Template::parse(&[Piece::Source(text)], &options).expect(text).render(
            &Model::new(&model),
            &[],
            &Context::default(),
        )
    };
    assert_eq!(
        render("${(l?map(x -> x.a.b)?join(''))!'none'} ${x}").ok().as_deref(),
        None
    );
    assert_eq!(
        render("${(l?map(y -> z)?join(''))!'none'} ${x} ${y!'gone'}")
            .ok()
            .as_deref(),
        Some("none outer gone")
    );
    let deep = format!("${{{}1{}}}", "(0..<100)?map(a -> ".repeat(5), ")".repeat(5));
    assert!(render(&deep).is_err());
}
