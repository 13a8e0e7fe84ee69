//! The built-ins and directives, each with a worked case: the source of the reference documentation.
//!
//! A test renders each case and compares the names with those that the parser knows.

use std::fmt::Write as _;

use pipepost_java_format::Locale;
use serde_json::Value;

use crate::builtins::{NAMES, NOT_SUPPORTED};
use crate::{Context, Model, Options, Piece, Template, directives};

/// One built-in or directive, as the reference shows it.
#[derive(Debug, Clone, Copy)]
pub struct TemplateReference {
    /// Its name: `upper_case`, `list`.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// A worked case over [`EXAMPLE_MODEL`].
    pub example: &'static str,
    /// What the case renders.
    pub result: &'static str,
}

/// The model of the worked cases, as JSON. The current time in them is 2026-11-28T10:20:30Z.
pub const EXAMPLE_MODEL: &str = r#"{"name": "Ana Souza", "total": 1234.5, "paid": true, "tags": ["b", "a", "c"], "items": [{"sku": "X1", "qty": 2}, {"sku": "A9", "qty": 5}], "note": null, "html": "<b>"}"#;

const fn row(
    name: &'static str,
    meaning: &'static str,
    example: &'static str,
    result: &'static str,
) -> TemplateReference {
    TemplateReference {
        name,
        meaning,
        example,
        result,
    }
}

const DIRECTIVES: &[TemplateReference] = &[
    row(
        "if",
        "Renders what is inside when the condition is true; with `<#elseif condition>` and `<#else>`.",
        "<#if paid>paid<#else>open</#if>",
        "paid",
    ),
    row(
        "else",
        "Begins what is rendered when no condition before it was true, or when a list is empty.",
        "<#list [] as x>${x}<#else>none</#list>",
        "none",
    ),
    row(
        "elseif",
        "Begins another condition.",
        "<#if !paid>open<#elseif total gt 1000>large</#if>",
        "large",
    ),
    row(
        "list",
        "Renders what is inside once for each element; `<#list hash as key, value>` for each entry.",
        "<#list items as item>${item.sku} </#list>",
        "X1 A9 ",
    ),
    row(
        "items",
        "Marks the part that is repeated, in a `<#list sequence>` without a variable.",
        "<#list tags>(<#items as tag>${tag}</#items>)</#list>",
        "(bac)",
    ),
    row(
        "sep",
        "Renders what is inside between two elements.",
        "<#list tags as tag>${tag}<#sep>, </#list>",
        "b, a, c",
    ),
    row(
        "break",
        "Ends the loop or the `<#switch>` around it.",
        "<#list tags as tag><#if tag == \"c\"><#break></#if>${tag}</#list>",
        "ba",
    ),
    row(
        "continue",
        "Goes on with the next element of the loop around it.",
        "<#list tags as tag><#if tag == \"a\"><#continue></#if>${tag}</#list>",
        "bc",
    ),
    row(
        "assign",
        "Gives a variable a value, or the text that is rendered inside.",
        "<#assign who = name?upper_case>${who}",
        "ANA SOUZA",
    ),
    row(
        "setting",
        "Changes locale, number_format, boolean_format, date_format, time_format, datetime_format or time_zone from here on.",
        "<#setting locale=\"pt_BR\">${total}",
        "1.234,5",
    ),
    row(
        "switch",
        "Renders the case that equals a value, and those after it up to a `<#break>`.",
        "<#switch tags?size><#case 3>three<#break><#default>other</#switch>",
        "three",
    ),
    row(
        "case",
        "A value of a `<#switch>`.",
        "<#switch 1><#case 1>one<#break></#switch>",
        "one",
    ),
    row(
        "default",
        "What a `<#switch>` renders when no case fits.",
        "<#switch 9><#case 1>one<#break><#default>other</#switch>",
        "other",
    ),
    row(
        "noparse",
        "Leaves what is inside as it is written.",
        "<#noparse>${name}</#noparse>",
        "${name}",
    ),
    row(
        "escape",
        "Wraps each interpolation inside in an expression.",
        "<#escape x as x?html>${html}</#escape>",
        "&lt;b&gt;",
    ),
    row(
        "noescape",
        "Ends the effect of the `<#escape>` around it.",
        "<#escape x as x?html><#noescape>${html}</#noescape></#escape>",
        "<b>",
    ),
];

const BUILTINS: &[(&str, &[TemplateReference])] = &[
    (
        "Texts",
        &[
            row(
                "upper_case",
                "Returns the text in capitals.",
                "${name?upper_case}",
                "ANA SOUZA",
            ),
            row(
                "lower_case",
                "Returns the text in small letters.",
                "${name?lower_case}",
                "ana souza",
            ),
            row(
                "cap_first",
                "Returns the text with a capital first letter.",
                "${\"ana\"?cap_first}",
                "Ana",
            ),
            row(
                "uncap_first",
                "Returns the text with a small first letter.",
                "${name?uncap_first}",
                "ana Souza",
            ),
            row(
                "capitalize",
                "Returns each word with a capital.",
                "${\"ana SOUZA\"?capitalize}",
                "Ana Souza",
            ),
            row(
                "trim",
                "Returns the text without blanks at its ends.",
                "[${\" a \"?trim}]",
                "[a]",
            ),
            row(
                "chop_linebreak",
                "Returns the text without a line break at its end.",
                "${\"a\\n\"?chop_linebreak}.",
                "a.",
            ),
            row("length", "Returns the number of characters.", "${name?length}", "9"),
            row(
                "contains",
                "Returns whether the text holds another.",
                "${name?contains(\"Sou\")?c}",
                "true",
            ),
            row(
                "starts_with",
                "Returns whether the text begins with another.",
                "${name?starts_with(\"Ana\")?c}",
                "true",
            ),
            row(
                "ends_with",
                "Returns whether the text ends with another.",
                "${name?ends_with(\"x\")?c}",
                "false",
            ),
            row(
                "index_of",
                "Returns where a text stands, from 0; -1 when it does not. A second argument is where to begin.",
                "${name?index_of(\"S\")}",
                "4",
            ),
            row(
                "last_index_of",
                "As `index_of`, from the end.",
                "${name?last_index_of(\"a\")}",
                "8",
            ),
            row(
                "substring",
                "Returns the part between two indices, or to the end.",
                "${name?substring(4, 6)}",
                "So",
            ),
            row(
                "replace",
                "Replaces a text. Flags: `i` ignore case, `f` the first only, `r` regular expression.",
                "${name?replace(\"[aeiou]\", \"_\", \"r\")}",
                "An_ S__z_",
            ),
            row(
                "split",
                "Splits the text; flags as for `replace`.",
                "${\"a;b\"?split(\";\")?join(\"|\")}",
                "a|b",
            ),
            row(
                "matches",
                "Returns whether the whole text matches a Java regular expression.",
                "${name?matches(\"Ana .*\")?c}",
                "true",
            ),
            row(
                "keep_before",
                "Returns what stands before a text; flags as for `replace`.",
                "${name?keep_before(\" \")}",
                "Ana",
            ),
            row(
                "keep_before_last",
                "Returns what stands before the last occurrence.",
                "${\"a.b.c\"?keep_before_last(\".\")}",
                "a.b",
            ),
            row(
                "keep_after",
                "Returns what stands after a text.",
                "${name?keep_after(\" \")}",
                "Souza",
            ),
            row(
                "keep_after_last",
                "Returns what stands after the last occurrence.",
                "${\"a.b.c\"?keep_after_last(\".\")}",
                "c",
            ),
            row(
                "remove_beginning",
                "Returns the text without this beginning.",
                "${name?remove_beginning(\"Ana \")}",
                "Souza",
            ),
            row(
                "remove_ending",
                "Returns the text without this end.",
                "${name?remove_ending(\" Souza\")}",
                "Ana",
            ),
            row(
                "ensure_starts_with",
                "Returns the text with this beginning. With two arguments the first is a regular expression that it may begin with already.",
                "${\"a.example\"?ensure_starts_with(\"[a-z]+://\", \"https://\")}",
                "https://a.example",
            ),
            row(
                "ensure_ends_with",
                "Returns the text with this end.",
                "${\"a\"?ensure_ends_with(\"/\")}",
                "a/",
            ),
            row(
                "left_pad",
                "Fills the text up to a length, on the left.",
                "${\"7\"?left_pad(3, \"0\")}",
                "007",
            ),
            row(
                "right_pad",
                "Fills the text up to a length, on the right.",
                "${\"7\"?right_pad(3, \".\")}",
                "7..",
            ),
            row("word_list", "Returns the words.", "${name?word_list?size}", "2"),
            row("html", "Escapes for HTML.", "${html?html}", "&lt;b&gt;"),
            row("xhtml", "As `html`.", "${html?xhtml}", "&lt;b&gt;"),
            row("xml", "Escapes for XML.", "${\"'\"?xml}", "&apos;"),
            row(
                "js_string",
                "Escapes for a text of JavaScript.",
                "${\"it's\"?js_string}",
                "it\\'s",
            ),
            row(
                "json_string",
                "Escapes for a text of JSON.",
                "${\"a\\\"b\"?json_string}",
                "a\\\"b",
            ),
            row(
                "url",
                "Escapes for a part of a URL, in UTF-8.",
                "${\"a b/c\"?url}",
                "a%20b%2Fc",
            ),
            row(
                "url_path",
                "As `url`; slashes stay.",
                "${\"a b/c\"?url_path}",
                "a%20b/c",
            ),
            row("number", "Reads the text as a number.", "${\"1.5\"?number + 1}", "2.5"),
            row("boolean", "Reads `true` and `false`.", "${\"true\"?boolean?c}", "true"),
            row(
                "string",
                "Writes a number or a date by a format, a boolean as one of two texts.",
                "${total?string(\"0.00\")} ${paid?string(\"yes\", \"no\")}",
                "1234.50 yes",
            ),
            row(
                "no_esc",
                "With the option `escape: html`: leaves this interpolation as it is.",
                "",
                "",
            ),
        ],
    ),
    (
        "Numbers and booleans",
        &[
            row(
                "c",
                "Writes a number or a boolean for machines, in no locale.",
                "${total?c}",
                "1234.5",
            ),
            row("abs", "Returns the number without its sign.", "${(-5)?abs}", "5"),
            row(
                "ceiling",
                "Returns the smallest whole number that is not less.",
                "${2.1?ceiling}",
                "3",
            ),
            row(
                "floor",
                "Returns the greatest whole number that is not greater.",
                "${2.9?floor}",
                "2",
            ),
            row("round", "Returns the nearest whole number.", "${2.5?round}", "3"),
            row("int", "Returns the whole part.", "${2.9?int}", "2"),
            row(
                "long",
                "Returns the whole part; of a date, the milliseconds since 1970.",
                "${.now?long?c}",
                "1795861230000",
            ),
            row(
                "is_nan",
                "Returns whether the number is not a number.",
                "${total?is_nan?c}",
                "false",
            ),
            row(
                "is_infinite",
                "Returns whether the number is infinite.",
                "${total?is_infinite?c}",
                "false",
            ),
            row(
                "then",
                "Returns the first argument when the boolean is true, else the second.",
                "${paid?then(\"paid\", \"open\")}",
                "paid",
            ),
            row(
                "switch",
                "Returns the argument behind the one that equals the value; the last one when none does.",
                "${tags?size?switch(1, \"one\", 3, \"three\", \"many\")}",
                "three",
            ),
            row(
                "number_to_date",
                "Makes milliseconds since 1970 a date.",
                "${0?number_to_date?string(\"yyyy-MM-dd\")}",
                "1970-01-01",
            ),
            row(
                "iso_utc",
                "Writes a date as ISO 8601 has it, in UTC. The name may go on: `_nz` (without the offset), `_ms`, `_m`, `_h` (how exactly) and both, such as `iso_utc_m_nz`.",
                "${0?number_to_datetime?iso_utc}",
                "1970-01-01T00:00:00Z",
            ),
            row(
                "iso_local",
                "As `iso_utc`, in the time zone of the setting.",
                "${0?number_to_datetime?iso_local}",
                "1970-01-01T00:00:00Z",
            ),
            row(
                "iso",
                "As `iso_utc`, in the time zone that is named. A format does the same: `?string.iso`, `?string.iso_m_nz`, with `h`, `m`, `s`, `ms`, `fz`, `nz` and `u` (UTC).",
                "${0?number_to_datetime?iso(\"Asia/Tokyo\")}",
                "1970-01-01T09:00:00+09:00",
            ),
            row(
                "number_to_time",
                "Makes milliseconds since 1970 a time.",
                "${0?number_to_time?string(\"HH:mm\")}",
                "00:00",
            ),
            row(
                "number_to_datetime",
                "Makes milliseconds since 1970 a date with a time.",
                "${0?number_to_datetime?string(\"yyyy HH\")}",
                "1970 00",
            ),
        ],
    ),
    (
        "Dates",
        &[
            row(
                "date",
                "Reads a date, by a pattern of Java's SimpleDateFormat or `iso`.",
                "${\"28/11/2026\"?date(\"dd/MM/yyyy\")?string(\"yyyy-MM-dd\")}",
                "2026-11-28",
            ),
            row(
                "time",
                "Reads a time.",
                "${\"10:20:30+02:00\"?time.iso?string(\"HH:mm\")}",
                "08:20",
            ),
            row(
                "datetime",
                "Reads a date with a time. `?string.short`, `medium`, `long`, `full` or two of them (`long_short`) write it in the locale's way.",
                "${\"2026-11-28T10:20:30Z\"?datetime.iso?string.long_short}",
                "November 28, 2026, 10:20 AM",
            ),
        ],
    ),
    (
        "Sequences and hashes",
        &[
            row(
                "size",
                "Returns the number of elements or entries.",
                "${tags?size}",
                "3",
            ),
            row("first", "Returns the first element.", "${tags?first}", "b"),
            row("last", "Returns the last element.", "${tags?last}", "c"),
            row(
                "join",
                "Joins the elements; further arguments are what an empty sequence gives, and what stands at the end.",
                "${tags?join(\", \")}",
                "b, a, c",
            ),
            row(
                "sort",
                "Sorts numbers, dates or texts.",
                "${tags?sort?join(\"\")}",
                "abc",
            ),
            row(
                "sort_by",
                "Sorts hashes by a field, or a path of fields.",
                "${items?sort_by(\"sku\")?first.sku}",
                "A9",
            ),
            row(
                "reverse",
                "Returns the elements from the last to the first.",
                "${tags?reverse?join(\"\")}",
                "cab",
            ),
            row(
                "filter",
                "Returns the elements for which a lambda is true.",
                "${items?filter(item -> item.qty gt 2)?size}",
                "1",
            ),
            row(
                "map",
                "Returns what a lambda makes of each element.",
                "${items?map(item -> item.sku)?join(\", \")}",
                "X1, A9",
            ),
            row(
                "take_while",
                "Returns the elements before the first for which a lambda is false.",
                "${tags?take_while(tag -> tag != \"c\")?join(\"\")}",
                "ba",
            ),
            row(
                "drop_while",
                "Returns the elements from the first for which a lambda is false.",
                "${tags?drop_while(tag -> tag != \"a\")?join(\"\")}",
                "ac",
            ),
            row(
                "seq_contains",
                "Returns whether a value is among the elements.",
                "${tags?seq_contains(\"a\")?c}",
                "true",
            ),
            row(
                "seq_index_of",
                "Returns where a value stands; -1 when it does not.",
                "${tags?seq_index_of(\"a\")}",
                "1",
            ),
            row(
                "seq_last_index_of",
                "As `seq_index_of`, from the end.",
                "${tags?seq_last_index_of(\"a\")}",
                "1",
            ),
            row(
                "chunk",
                "Returns sequences of a length; a second argument fills the last.",
                "${tags?chunk(2)?size}",
                "2",
            ),
            row("min", "Returns the least element.", "${[3, 1, 2]?min}", "1"),
            row("max", "Returns the greatest element.", "${[3, 1, 2]?max}", "3"),
            row(
                "keys",
                "Returns the keys of a hash.",
                "${items[0]?keys?join(\",\")}",
                "sku,qty",
            ),
            row(
                "values",
                "Returns the values of a hash.",
                "${items[0]?values?join(\",\")}",
                "X1,2",
            ),
            row("sequence", "Returns the sequence itself.", "${tags?sequence?size}", "3"),
        ],
    ),
    (
        "Loops",
        &[
            row(
                "index",
                "Returns the index of the loop's variable, from 0.",
                "<#list tags as tag>${tag?index}</#list>",
                "012",
            ),
            row(
                "counter",
                "Returns the index, from 1.",
                "<#list tags as tag>${tag?counter}</#list>",
                "123",
            ),
            row(
                "has_next",
                "Returns whether another element follows.",
                "<#list tags as tag>${tag}${tag?has_next?then(\"-\", \"\")}</#list>",
                "b-a-c",
            ),
            row(
                "is_first",
                "Returns whether it is the first.",
                "<#list tags as tag>${tag?is_first?c} </#list>",
                "true false false ",
            ),
            row(
                "is_last",
                "Returns whether it is the last.",
                "<#list tags as tag>${tag?is_last?c} </#list>",
                "false false true ",
            ),
            row(
                "is_odd_item",
                "Returns whether it is the first, the third and so on.",
                "<#list tags as tag>${tag?is_odd_item?c} </#list>",
                "true false true ",
            ),
            row(
                "is_even_item",
                "Returns whether it is the second, the fourth and so on.",
                "<#list tags as tag>${tag?is_even_item?c} </#list>",
                "false true false ",
            ),
            row(
                "item_parity",
                "Returns `odd` or `even`.",
                "<#list tags as tag>${tag?item_parity} </#list>",
                "odd even odd ",
            ),
            row(
                "item_parity_cap",
                "Returns `Odd` or `Even`.",
                "<#list tags as tag>${tag?item_parity_cap} </#list>",
                "Odd Even Odd ",
            ),
            row(
                "item_cycle",
                "Returns its arguments in turn.",
                "<#list tags as tag>${tag?item_cycle(1, 2)}</#list>",
                "121",
            ),
        ],
    ),
    (
        "What may be missing, and types",
        &[
            row(
                "default",
                "Returns the argument when the value is missing; `value!argument` is the short form.",
                "${note?default(\"none\")} ${note!\"none\"}",
                "none none",
            ),
            row(
                "exists",
                "Returns whether the value is there; `value??` is the short form.",
                "${note?exists?c} ${(name??)?c}",
                "false true",
            ),
            row(
                "if_exists",
                "Returns an empty text when the value is missing.",
                "[${note?if_exists}]",
                "[]",
            ),
            row(
                "has_content",
                "Returns whether the value is there and not empty.",
                "${\"\"?has_content?c}",
                "false",
            ),
            row(
                "is_string",
                "Returns whether the value is a text.",
                "${name?is_string?c}",
                "true",
            ),
            row(
                "is_number",
                "Returns whether the value is a number.",
                "${total?is_number?c}",
                "true",
            ),
            row(
                "is_boolean",
                "Returns whether the value is a boolean.",
                "${paid?is_boolean?c}",
                "true",
            ),
            row(
                "is_date",
                "Returns whether the value is a date.",
                "${.now?is_date?c}",
                "true",
            ),
            row(
                "is_sequence",
                "Returns whether the value is a sequence.",
                "${tags?is_sequence?c}",
                "true",
            ),
            row(
                "is_hash",
                "Returns whether the value is a hash.",
                "${items[0]?is_hash?c}",
                "true",
            ),
            row(
                "is_enumerable",
                "Returns whether the value can be listed.",
                "${tags?is_enumerable?c}",
                "true",
            ),
            row(
                "is_indexable",
                "Returns whether the value has elements by number.",
                "${tags?is_indexable?c}",
                "true",
            ),
        ],
    ),
];

/// Returns every directive that the reference shows.
pub fn directive_reference() -> impl Iterator<Item = &'static TemplateReference> {
    DIRECTIVES.iter()
}

/// Returns every built-in that the reference shows.
pub fn builtin_reference() -> impl Iterator<Item = &'static TemplateReference> {
    BUILTINS.iter().flat_map(|(_, builtins)| *builtins)
}

/// Returns the names of the built-ins and of the directives that the parser accepts.
pub fn template_names() -> (&'static [&'static str], &'static [&'static str]) {
    (NAMES, directives::SUPPORTED)
}

/// Returns the reference of the template language, as Markdown.
pub fn template_markdown() -> String {
    let mut text = format!(
        "# Templates\n\n\
         The part of FreeMarker 2.3 that bodies take. `${{expression}}` inserts a value, `<#name ...>` is a directive and\n\
         `value?name` a built-in. A missing value is an error unless `!` or `??` deals with it. `{{{{ }}}}` in a body is an\n\
         expression of its own: its value is inserted as text and never read as a template.\n\n\
         Numbers and dates are written in the locale en_US and in UTC, unless `<#setting>` says otherwise: see [Locales](#locales).\n\
         The model of the worked cases is\n\n\
         ```json\n{EXAMPLE_MODEL}\n```\n\n\
         ## Directives\n"
    );
    for directive in DIRECTIVES {
        write_row(&mut text, &format!("<#{}>", directive.name), directive);
    }
    for (group, builtins) in BUILTINS {
        let _ = write!(text, "\n## Built-ins: {}\n", group.to_lowercase());
        for builtin in *builtins {
            write_row(&mut text, &format!("?{}", builtin.name), builtin);
        }
    }
    text.push_str(&locales());
    let _ = write!(
        text,
        "\n## Not supported\n\n\
         These are refused by name when a pipeline is checked.\n\n\
         Directives: {}.\n\n\
         Built-ins: {}.\n\n\
         Macros and functions, includes, the syntax with square brackets, `#{{...}}` and output formats are not supported either.\n",
        directives::NOT_SUPPORTED.join(", "),
        NOT_SUPPORTED.join(", ")
    );
    text
}

/// What each locale makes of a number and a date, written by the renderer itself.
fn locales() -> String {
    const SAMPLES: [(&str, &str); 6] = [
        ("a number", "${1234567.891}"),
        ("an amount", "${1234.5?string.currency}"),
        ("a share", "${0.125?string.percent}"),
        (
            "a date, `short`",
            "${\"2026-11-28T16:05:09Z\"?datetime.iso?date?string.short}",
        ),
        (
            "a date, `long`",
            "${\"2026-11-28T16:05:09Z\"?datetime.iso?date?string.long}",
        ),
        ("both, as they are", "${\"2026-11-28T16:05:09Z\"?datetime.iso}"),
    ];
    let mut text = String::from(
        "\n## Locales\n\n\
         `<#setting locale=\"pt_BR\">` holds from there to the template's end, and so do `number_format`, `date_format`,\n\
         `time_format`, `datetime_format`, `boolean_format` and `time_zone`. The message does not choose the locale, and neither does\n\
         the machine: without the setting it is en_US everywhere, and the time zone is UTC. A tag is written `pt_BR` or `pt-BR`, or\n\
         without the region; another region is refused, since it writes dates in another way. `?c` and `{{ }}` write numbers for\n\
         machines in every locale (`1234567.891`). What stands in a format's pattern follows the locale too: its separators, and the\n\
         names of months and days.\n\n|  |",
    );
    for locale in Locale::ALL {
        let _ = write!(text, " {} |", locale.tag());
    }
    text.push_str("\n| --- | --- | --- | --- | --- | --- |\n");
    for (what, sample) in SAMPLES {
        let _ = write!(text, "| {what} |");
        for locale in Locale::ALL {
            let source = format!("<#setting locale=\"{}\">{sample}", locale.tag());
            let rendered = Template::parse(&[Piece::Source(&source)], &Options::default())
                .ok()
                .and_then(|template| {
                    template
                        .render(&Model::new(&Value::Null), &[], &Context::default())
                        .ok()
                });
            let shown = rendered.unwrap_or_default().replace(['\u{a0}', '\u{202f}'], " ");
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }
    text
}

fn write_row(text: &mut String, title: &str, row: &TemplateReference) {
    let _ = write!(text, "\n### `{title}`\n\n{}\n", row.meaning);
    if !row.example.is_empty() {
        let _ = write!(text, "\n    {}\n    {}\n", row.example, row.result);
    }
}
