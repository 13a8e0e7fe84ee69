//! JSONPath in Jayway's dialect, in which Digibee's pipelines are written.
//!
//! It is not RFC 9535: a filter on an object tests the object itself, `$.['key']` and `$.[?(…)]` are allowed, regular
//! expressions are written between slashes (`=~ /re/i`), functions may end a path (`$.prices.max()`), and a definite
//! path gives its value while an indefinite one gives a list. A path that starts with neither `$` nor `@` starts at the
//! root.
//!
//! The order of calls: [`JsonPath::parse`] once, [`JsonPath::find`] for each document.
//!
//! ```
//! use pipepost_jsonpath::JsonPath;
//! use serde_json::json;
//!
//! let document = json!({"books": [{"title": "Moby Dick", "price": 8.99}, {"title": "Sword of Honour", "price": 12.99}]});
//! let path = JsonPath::parse("$.books[?(@.price < 10)].title")?;
//! assert_eq!(path.find(&document)?.into_value(), json!(["Moby Dick"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The dialect
//!
//! | form | selects |
//! | --- | --- |
//! | `.name`, `['name']`, `["name"]`, `.['name']` | a member |
//! | `['a','b']` | at the end of a path one object with these members, elsewhere each of them |
//! | `.*`, `[*]` | every member or element |
//! | `[0]`, `[-1]`, `[0,2]`, `[1:3]`, `[:2]`, `[-2:]` | elements; negative indices count from the end |
//! | `..` before any of these | the same in the value and everything below it |
//! | `[?(…)]` | elements for which the condition holds; an object when it holds for the object |
//! | `min() max() avg() stddev() sum() length() size() keys() concat() append(x) first() last() index(n)` | at the end: a value made of the selection |
//!
//! A condition joins comparisons with `&&`, `||`, `!` and parentheses. Its operands are paths from `@` or `$`, numbers,
//! texts in single or double quotes, `true`, `false`, `null`, JSON arrays and objects, and `/regular expressions/`; its
//! operators `== != === !== < <= > >= =~ in nin subsetof anyof noneof contains all size empty`. A path without an
//! operator tests whether there is a value at the path.
//!
//! # Bounds
//!
//! A path may be nested at most 32 levels deep, a document is searched without recursion, and one [`JsonPath::find`]
//! takes a limited number of steps. So neither a hostile path nor a hostile document can overflow the stack or run for
//! minutes.
#![forbid(unsafe_code)]

mod error;
mod evaluate;
mod filter;
mod functions;
pub mod java_regex;
mod parse;
mod path;

pub use error::{FindError, FindErrorKind, ParseError};
pub use path::{Found, JsonPath};
