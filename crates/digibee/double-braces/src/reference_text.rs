//! The meaning of every function, with a worked case: the source of the reference documentation.
//!
//! A test evaluates each case and compares the names with those that the parser knows, so that both stay correct.

use std::fmt::Write as _;

use crate::functions::signature;

/// One function, as the reference shows it.
#[derive(Clone, Copy, Debug)]
pub struct FunctionReference {
    /// The name, in capitals.
    pub name: &'static str,
    /// What it returns.
    pub meaning: &'static str,
    /// A worked case; the message in it is [`EXAMPLE_MESSAGE`].
    pub example: &'static str,
    /// The result of the case, as JSON; `None` if it depends on chance or on the clock.
    pub result: Option<&'static str>,
}

/// The message of the worked cases, as JSON.
pub const EXAMPLE_MESSAGE: &str =
    r#"{"name": "Ana", "total": 1234.5, "tags": ["a", "b", "c"], "paid": true, "note": null, "order": {"id": 7}}"#;

const fn case(
    name: &'static str,
    meaning: &'static str,
    example: &'static str,
    result: &'static str,
) -> FunctionReference {
    FunctionReference {
        name,
        meaning,
        example,
        result: Some(result),
    }
}

const fn by_chance(name: &'static str, meaning: &'static str, example: &'static str) -> FunctionReference {
    FunctionReference {
        name,
        meaning,
        example,
        result: None,
    }
}

/// The groups, in the order of the documentation.
const GROUPS: [(&str, &[FunctionReference]); 9] = [
    (
        "Comparison",
        &[
            case(
                "AND",
                "Returns true when every argument is true. Null counts as false.",
                "AND(true, message.paid)",
                "true",
            ),
            case(
                "OR",
                "Returns true when an argument is true. Null counts as false.",
                "OR(false, message.paid)",
                "true",
            ),
            case(
                "XOR",
                "Compares from left to right: true for an odd number of true arguments. Null counts as false.",
                "XOR(true, true, true)",
                "true",
            ),
            case(
                "NOT",
                "Returns the opposite. Null counts as false.",
                "NOT(message.note)",
                "true",
            ),
        ],
    ),
    (
        "Conditions",
        &[
            case(
                "EQUALTO",
                "Returns whether two values are equal, at any depth; numbers by their value.",
                "EQUALTO(message.order, {\"id\": 7.0})",
                "true",
            ),
            case(
                "GREATERTHAN",
                "Returns whether the first number is greater. Null is the smallest value; two texts are compared by their characters.",
                "GREATERTHAN(message.total, 1000)",
                "true",
            ),
            case(
                "GREATERTHANEQUAL",
                "As GREATERTHAN, or equal.",
                "GREATERTHANEQUAL(5, 5)",
                "true",
            ),
            case(
                "LESSTHAN",
                "Returns whether the first number is less.",
                "LESSTHAN(null, 0)",
                "true",
            ),
            case(
                "LESSTHANEQUAL",
                "As LESSTHAN, or equal.",
                "LESSTHANEQUAL(6, 5)",
                "false",
            ),
            case(
                "IF",
                "Returns the second argument when the condition is true, else the third. Both are evaluated.",
                "IF(message.paid, \"paid\", \"open\")",
                "\"paid\"",
            ),
            case(
                "SWITCHCASE",
                "Returns the result behind the first condition that is true, else the first argument.",
                "SWITCHCASE(\"small\", GREATERTHAN(message.total, 1000), \"large\")",
                "\"large\"",
            ),
            case(
                "ISOBJECT",
                "Returns whether the value is an object.",
                "ISOBJECT(message.order)",
                "true",
            ),
            case(
                "ISARRAY",
                "Returns whether the value is an array.",
                "ISARRAY(message.tags)",
                "true",
            ),
            case(
                "ISBOOLEAN",
                "Returns whether the value is a boolean.",
                "ISBOOLEAN(\"true\")",
                "false",
            ),
            case(
                "ISSTRING",
                "Returns whether the value is a text.",
                "ISSTRING(message.name)",
                "true",
            ),
            case(
                "ISNUMBER",
                "Returns whether the value is a number.",
                "ISNUMBER(\"7\")",
                "false",
            ),
            case(
                "ISNULL",
                "Returns whether the value is null or absent.",
                "ISNULL(message.nothing)",
                "true",
            ),
        ],
    ),
    (
        "Dates",
        &[
            case(
                "FORMATDATE",
                "Reads a date by one pattern and writes it by another. Patterns are those of Java's SimpleDateFormat, or `timestamp` for milliseconds since 1970; null stands for ISO 8601. Locales and time zones are optional.",
                "FORMATDATE(\"2026-11-28\", \"yyyy-MM-dd\", \"dd/MM/yyyy\")",
                "\"28/11/2026\"",
            ),
            by_chance("NOW", "Returns the present, in milliseconds since 1970.", "NOW()"),
            case(
                "SUMDATE",
                "Adds so many units to a date: YEAR, MONTH, DAY, HOUR, MINUTE or SECOND; a negative number subtracts.",
                "SUMDATE(1599368565518, \"SECOND\", 10)",
                "1599368575518",
            ),
            case(
                "TOISODATE",
                "Reads a date by a pattern and writes it as ISO 8601.",
                "TOISODATE(\"28/11/2026\", \"dd/MM/yyyy\")",
                "\"2026-11-28T00:00:00.000Z\"",
            ),
            case(
                "DIFFDATE",
                "Returns the second timestamp less the first, in whole units: YEAR, MONTH, DAY, HOUR, MINUTE, SECOND or MILLISECOND.",
                "DIFFDATE(0, 172800000, \"DAY\")",
                "2",
            ),
        ],
    ),
    (
        "Files of the run",
        &[
            by_chance(
                "FILEEXISTS",
                "Returns whether the run's directory holds a file of this name.",
                "FILEEXISTS(\"report.csv\")",
            ),
            by_chance(
                "FILESIZE",
                "Returns the size of a file of the run's directory, in bytes.",
                "FILESIZE(\"report.csv\")",
            ),
        ],
    ),
    (
        "Objects and arrays",
        &[
            case(
                "JSONPATH",
                "Returns what a path in Jayway's dialect of JSONPath selects: one value, or a list when the path may select several.",
                "JSONPATH(message, \"$.tags[?(@ != 'b')]\")",
                "[\"a\", \"c\"]",
            ),
            case(
                "TOJSON",
                "Reads a text as JSON. What is not JSON stays as it is.",
                "TOJSON(\"[1, 2]\")",
                "[1, 2]",
            ),
            case(
                "UNESCAPEJSON",
                "Resolves the escapes of JSON in a text.",
                "UNESCAPEJSON(\"a\\\\nb\")",
                "\"a\\nb\"",
            ),
            case(
                "GETELEMENTAT",
                "Returns the element at an index, from 0; null beyond the end.",
                "GETELEMENTAT(message.tags, 1)",
                "\"b\"",
            ),
            case(
                "LASTELEMENT",
                "Returns the last element; null of an empty array.",
                "LASTELEMENT(message.tags)",
                "\"c\"",
            ),
            case(
                "REMOVEAT",
                "Returns the array without the element at an index.",
                "REMOVEAT(message.tags, 0)",
                "[\"b\", \"c\"]",
            ),
            case(
                "PUSH",
                "Returns the array with an element at its end.",
                "PUSH(message.tags, \"d\")",
                "[\"a\", \"b\", \"c\", \"d\"]",
            ),
            case(
                "POP",
                "Returns the last element, and the array without it.",
                "POP(message.tags)",
                "{\"array\": [\"a\", \"b\"], \"element\": \"c\"}",
            ),
            case("NEWEMPTYOBJECT", "Returns an empty object.", "NEWEMPTYOBJECT()", "{}"),
            case("NEWEMPTYARRAY", "Returns an empty array.", "NEWEMPTYARRAY()", "[]"),
            case(
                "CARDINALITYONE",
                "Returns the first element of an array; any other value as it is.",
                "CARDINALITYONE(message.tags)",
                "\"a\"",
            ),
            case(
                "CARDINALITYMANY",
                "Returns an array of the value; an array as it is.",
                "CARDINALITYMANY(message.name)",
                "[\"Ana\"]",
            ),
        ],
    ),
    (
        "Mathematics",
        &[
            case("ABS", "Returns the number without its sign.", "ABS(-5)", "5.0"),
            case(
                "CEIL",
                "Returns the smallest whole number that is not less.",
                "CEIL(2.1)",
                "3.0",
            ),
            case(
                "DIVIDE",
                "Divides. A division by zero is an error.",
                "DIVIDE(7, 2)",
                "3.5",
            ),
            case(
                "LOG",
                "Returns the logarithm of a number to a base.",
                "LOG(8, 2)",
                "3.0",
            ),
            case("MAX", "Returns the greater of two numbers.", "MAX(2, 3)", "3.0"),
            case("MIN", "Returns the lesser of two numbers.", "MIN(2, 3)", "2.0"),
            case("MOD", "Returns the remainder of a division.", "MOD(7, 3)", "1.0"),
            case("MULTIPLY", "Multiplies.", "MULTIPLY(message.total, 2)", "2469.0"),
            case(
                "POW",
                "Returns the first number to the power of the second.",
                "POW(2, 10)",
                "1024.0",
            ),
            case(
                "ROUND",
                "Returns the nearest whole number; a half is rounded up.",
                "ROUND(2.5)",
                "3.0",
            ),
            case("SQRT", "Returns the square root.", "SQRT(9)", "3.0"),
            case("SUBTRACT", "Subtracts.", "SUBTRACT(5, 2)", "3.0"),
            case("SUM", "Adds.", "SUM(1, 2)", "3.0"),
        ],
    ),
    (
        "Numbers",
        &[
            case(
                "FORMATNUMBER",
                "Writes a number by a pattern of Java's DecimalFormat, in a locale (en-US when it is left out). `true` as the last argument cuts the fraction off; it may also stand in the locale's place.",
                "FORMATNUMBER(message.total, \"#,##0.00\", \"pt-BR\")",
                "\"1.234,50\"",
            ),
            case(
                "TODOUBLE",
                "Returns the number with a fraction.",
                "TODOUBLE(\"12\")",
                "12.0",
            ),
            case("TOINT", "Returns the whole part, of 32 bits.", "TOINT(12.9)", "12"),
            case(
                "TOLONG",
                "Returns the whole part, of 64 bits.",
                "TOLONG(\"1599368565518\")",
                "1599368565518",
            ),
            case(
                "TONUMBER",
                "Reads a number by a pattern of Java's DecimalFormat, in a locale.",
                "TONUMBER(\"1.234,50\", \"#,##0.00\", \"pt-BR\")",
                "1234.5",
            ),
            by_chance(
                "RANDOMNUMBERS",
                "Returns a whole number between two others, both included.",
                "RANDOMNUMBERS(1, 6)",
            ),
        ],
    ),
    (
        "Texts",
        &[
            case(
                "CAPITALIZE",
                "Returns the text with a capital first letter.",
                "CAPITALIZE(\"hello\")",
                "\"Hello\"",
            ),
            case(
                "CONCAT",
                "Joins the text forms of all arguments. Null is left out.",
                "CONCAT(\"Hello, \", message.name, \"!\")",
                "\"Hello, Ana!\"",
            ),
            case(
                "CONTAINS",
                "Returns whether a text holds another.",
                "CONTAINS(message.name, \"na\")",
                "true",
            ),
            case(
                "DEFAULT",
                "Returns the second argument when the first is null or absent.",
                "DEFAULT(message.note, \"none\")",
                "\"none\"",
            ),
            case(
                "ESCAPE",
                "Escapes a text for JSON (the default), XML, HTML, CSV or ICAL (text of RFC 5545).",
                "ESCAPE(\"a < b\", \"HTML\")",
                "\"a &lt; b\"",
            ),
            case(
                "INDEXOF",
                "Returns where a text stands in another, from 0; -1 when it does not. Characters count as in Java, in UTF-16 units.",
                "INDEXOF(\"banana\", \"na\")",
                "2",
            ),
            case(
                "JOIN",
                "Joins all arguments after the first, and the elements of arrays, with the first between them. Null is left out.",
                "JOIN(\", \", message.tags)",
                "\"a, b, c\"",
            ),
            case(
                "LASTINDEXOF",
                "As INDEXOF, from the end.",
                "LASTINDEXOF(\"banana\", \"na\")",
                "4",
            ),
            case(
                "LEFTPAD",
                "Fills a text up to a length, on the left; with blanks unless told otherwise.",
                "LEFTPAD(message.order.id, 3, \"0\")",
                "\"007\"",
            ),
            case(
                "RIGHTPAD",
                "Fills a text up to a length, on the right.",
                "RIGHTPAD(message.name, 5, \".\")",
                "\"Ana..\"",
            ),
            case(
                "LOWERCASE",
                "Returns the text in small letters.",
                "LOWERCASE(\"ÀB\")",
                "\"àb\"",
            ),
            case(
                "UPPERCASE",
                "Returns the text in capitals.",
                "UPPERCASE(message.name)",
                "\"ANA\"",
            ),
            case(
                "MATCHES",
                "Returns whether the whole text matches a Java regular expression.",
                "MATCHES(message.name, \"[A-Z][a-z]+\")",
                "true",
            ),
            case(
                "NORMALIZE",
                "Returns the text without accents.",
                "NORMALIZE(\"São Paulo\")",
                "\"Sao Paulo\"",
            ),
            by_chance(
                "RANDOMSTRINGS",
                "Returns a text of a length by chance, of ALPHANUMERIC, ALPHABETIC, ASCII or NUMERIC characters.",
                "RANDOMSTRINGS(\"NUMERIC\", 6)",
            ),
            case(
                "REPLACE",
                "Replaces what a Java regular expression matches; `$1` in the replacement is a group.",
                "REPLACE(\"2026-11\", \"(\\\\d+)-(\\\\d+)\", \"$2/$1\")",
                "\"11/2026\"",
            ),
            case(
                "SPLIT",
                "Splits a text where a Java regular expression matches.",
                "SPLIT(\"a;b,c\", \"[;,]\")",
                "[\"a\", \"b\", \"c\"]",
            ),
            case(
                "STRINGMATCHES",
                "Returns every match of a Java regular expression. Flags are names of Java, such as CASE_INSENSITIVE.",
                "STRINGMATCHES(\"a1b22\", \"[0-9]+\")",
                "[\"1\", \"22\"]",
            ),
            case(
                "SUBSTRING",
                "Returns the part between two indices; to the end without the second. Out of the text is an error, unless the last argument is false.",
                "SUBSTRING(\"banana\", 1, 3)",
                "\"an\"",
            ),
            case(
                "TOSTRING",
                "Returns the text form: numbers as Java prints them, objects and arrays as JSON.",
                "TOSTRING(message.order)",
                "\"{\\\"id\\\":7}\"",
            ),
            case(
                "TRIM",
                "Returns the text without blanks at its ends.",
                "TRIM(\" a \")",
                "\"a\"",
            ),
            case(
                "UNESCAPE",
                "Resolves what ESCAPE writes.",
                "UNESCAPE(\"a &lt; b\", \"HTML\")",
                "\"a < b\"",
            ),
        ],
    ),
    (
        "Utilities",
        &[
            case(
                "BASEDECODE",
                "Decodes base64, to UTF-8 or the charset that is named.",
                "BASEDECODE(\"QW5h\")",
                "\"Ana\"",
            ),
            case(
                "BASEENCODE",
                "Encodes a text as base64.",
                "BASEENCODE(message.name)",
                "\"QW5h\"",
            ),
            case(
                "BASEURLDECODE",
                "Decodes base64 for URLs.",
                "BASEURLDECODE(\"QW5h\")",
                "\"Ana\"",
            ),
            case(
                "BASEURLENCODE",
                "Encodes a text as base64 for URLs, without padding.",
                "BASEURLENCODE(\"a?\")",
                "\"YT8\"",
            ),
            by_chance("UUID", "Returns a random UUID.", "UUID()"),
            case(
                "TOBOOLEAN",
                "Returns true for true and the text true; false for anything else.",
                "TOBOOLEAN(\"TRUE\")",
                "true",
            ),
            case(
                "SIZE",
                "Returns the length of a text, an array or an object. Another value is an error, or null when the second argument is false.",
                "SIZE(message.tags)",
                "3",
            ),
            case(
                "URIENCODE",
                "Encodes a text as a part of a URL.",
                "URIENCODE(\"a b&c\")",
                "\"a%20b%26c\"",
            ),
            case(
                "URIDECODE",
                "Resolves the percent signs of a URL.",
                "URIDECODE(\"a%20b\")",
                "\"a b\"",
            ),
        ],
    ),
];

/// Returns every function that the reference shows, in its order.
pub fn function_reference() -> impl Iterator<Item = &'static FunctionReference> {
    GROUPS.into_iter().flat_map(|(_, functions)| functions)
}

/// Returns the reference of the functions, as Markdown: each with its signature, its meaning and a worked case.
pub fn functions_markdown() -> String {
    let mut text = format!(
        "# Functions of expressions\n\n\
         `{{{{ FUNCTION(argument, ...) }}}}`. Names may be written in any case, calls nest, and `?` marks arguments that may be\n\
         left out. A path to something that is not there is null. The message of the worked cases is\n\n\
         ```json\n{EXAMPLE_MESSAGE}\n```\n\n\
         Locales are English, Portuguese, Spanish, German and French with any region (`pt-BR`, `en_GB`, `de`); a region that is\n\
         not known has its language's usual signs. Time zones are names such as `America/Sao_Paulo`, or offsets such as\n\
         `GMT-03:00`; UTC when none is named.\n"
    );
    for (group, functions) in GROUPS {
        let _ = write!(text, "\n## {group}\n");
        for function in functions {
            let signature = signature(function.name).unwrap_or_default();
            let _ = write!(
                text,
                "\n### {}\n\n`{signature}`\n\n{}\n\n",
                function.name, function.meaning
            );
            let _ = match function.result {
                Some(result) => writeln!(text, "    {}\n    {result}", function.example),
                None => writeln!(text, "    {}", function.example),
            };
        }
    }
    text
}
