//! The built-ins (`?name`): their names, and the number of arguments of each.

/// Declares each built-in with its name and its least and greatest number of arguments.
macro_rules! builtins {
    ($($variant:ident $name:literal $least:literal $most:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Builtin { $($variant,)* }

        impl Builtin {
            pub(crate) fn from_name(name: &str) -> Option<Self> {
                Some(match name { $($name => Self::$variant,)* _ => return None })
            }

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Fewest and most arguments.
            pub(crate) fn arity(self) -> (usize, usize) {
                match self { $(Self::$variant => ($least, $most),)* }
            }
        }

        pub(crate) const NAMES: &[&str] = &[$($name,)*];
    };
}

builtins! {
    Abs "abs" 0 0, Boolean "boolean" 0 0, C "c" 0 0, CapFirst "cap_first" 0 0, Capitalize "capitalize" 0 0,
    Ceiling "ceiling" 0 0, Chunk "chunk" 1 2, ChopLinebreak "chop_linebreak" 0 0, Contains "contains" 1 1,
    Counter "counter" 0 0, Date "date" 0 1, DateTime "datetime" 0 1, Default "default" 1 1, DropWhile "drop_while" 1 1, EndsWith "ends_with" 1 1,
    EnsureEndsWith "ensure_ends_with" 1 1, EnsureStartsWith "ensure_starts_with" 1 3, Exists "exists" 0 0, Filter "filter" 1 1,
    First "first" 0 0, Floor "floor" 0 0, HasContent "has_content" 0 0, HasNext "has_next" 0 0, Html "html" 0 0,
    IfExists "if_exists" 0 0, Index "index" 0 0, IndexOf "index_of" 1 2, Int "int" 0 0, IsBoolean "is_boolean" 0 0,
    IsDate "is_date" 0 0, IsEnumerable "is_enumerable" 0 0, IsEvenItem "is_even_item" 0 0, IsFirst "is_first" 0 0,
    IsHash "is_hash" 0 0, Iso "iso" 1 1, IsoLocal "iso_local" 0 0, IsoUtc "iso_utc" 0 0, IsIndexable "is_indexable" 0 0, IsInfinite "is_infinite" 0 0, IsLast "is_last" 0 0,
    IsNan "is_nan" 0 0, IsNumber "is_number" 0 0, IsOddItem "is_odd_item" 0 0, IsSequence "is_sequence" 0 0,
    IsString "is_string" 0 0, ItemCycle "item_cycle" 1 255, ItemParity "item_parity" 0 0,
    ItemParityCap "item_parity_cap" 0 0, Join "join" 1 3, JsString "js_string" 0 0, JsonString "json_string" 0 0,
    KeepAfter "keep_after" 1 2, KeepAfterLast "keep_after_last" 1 2, KeepBefore "keep_before" 1 2,
    KeepBeforeLast "keep_before_last" 1 2, Keys "keys" 0 0, Last "last" 0 0, LastIndexOf "last_index_of" 1 2,
    LeftPad "left_pad" 1 2, Length "length" 0 0, Long "long" 0 0, LowerCase "lower_case" 0 0, Map "map" 1 1, Matches "matches" 1 2, Max "max" 0 0,
    Min "min" 0 0, NoEsc "no_esc" 0 0, Number "number" 0 0, NumberToDate "number_to_date" 0 0,
    NumberToDateTime "number_to_datetime" 0 0, NumberToTime "number_to_time" 0 0, RemoveBeginning "remove_beginning" 1 1,
    RemoveEnding "remove_ending" 1 1, Replace "replace" 2 3, Reverse "reverse" 0 0, RightPad "right_pad" 1 2,
    Round "round" 0 0, SeqContains "seq_contains" 1 1, Sequence "sequence" 0 0, SeqIndexOf "seq_index_of" 1 2,
    SeqLastIndexOf "seq_last_index_of" 1 2, Size "size" 0 0, Sort "sort" 0 0, SortBy "sort_by" 1 1, Split "split" 1 2,
    StartsWith "starts_with" 1 1, String "string" 0 2, Substring "substring" 1 2, Switch "switch" 2 255,
    TakeWhile "take_while" 1 1, Then "then" 2 2, Time "time" 0 1, Trim "trim" 0 0, UncapFirst "uncap_first" 0 0, UpperCase "upper_case" 0 0,
    Url "url" 0 1, UrlPath "url_path" 0 1, Values "values" 0 0, WordList "word_list" 0 0, Xhtml "xhtml" 0 0,
    Xml "xml" 0 0,
}

/// What FreeMarker has beside, so that the message can say "not supported" instead of "unknown".
pub(crate) const NOT_SUPPORTED: &[&str] = &[
    "absolute_template_name",
    "ancestors",
    "api",
    "blank_to_null",
    "byte",
    "c_lower_case",
    "c_upper_case",
    "caller_template_name",
    "children",
    "cn",
    "date_if_unknown",
    "datetime_if_unknown",
    "double",
    "empty_to_null",
    "esc",
    "eval",
    "eval_json",
    "float",
    "groups",
    "has_api",
    "interpret",
    "is_collection",
    "is_collection_ex",
    "is_date_like",
    "is_date_only",
    "is_datetime",
    "is_directive",
    "is_hash_ex",
    "is_macro",
    "is_markup_output",
    "is_method",
    "is_node",
    "is_time",
    "is_transform",
    "is_unknown_date_like",
    "lower_abc",
    "markup_string",
    "namespace",
    "new",
    "next_sibling",
    "node_name",
    "node_namespace",
    "node_type",
    "number_to_string",
    "parent",
    "previous_sibling",
    "root",
    "rtf",
    "short",
    "source",
    "time_if_unknown",
    "trim_to_null",
    "truncate",
    "truncate_c",
    "truncate_c_m",
    "truncate_m",
    "truncate_w",
    "truncate_w_m",
    "upper_abc",
    "web_safe",
    "with_args",
    "with_args_last",
];

/// `upperCase` is `upper_case`: FreeMarker takes both conventions.
pub(crate) fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The ISO 8601 built-in of a name that also says how much is written: `iso_utc_m_nz` is `iso_utc` with `m_nz`. The name is
/// in snake case, where `isoUtcNZ` has become `iso_utc_n_z`.
pub(crate) fn iso_family(name: &str) -> Option<(Builtin, String)> {
    const FORMS: [&str; 8] = ["", "nz", "ms", "ms_nz", "m", "m_nz", "h", "h_nz"];
    let rest = name.strip_prefix("iso")?;
    let (builtin, form) = if let Some(form) = rest.strip_prefix("_utc") {
        (Builtin::IsoUtc, form)
    } else if let Some(form) = rest.strip_prefix("_local") {
        (Builtin::IsoLocal, form)
    } else {
        (Builtin::Iso, rest)
    };
    let form = form
        .replace("_n_z", "_nz")
        .replace("_m_s", "_ms")
        .replace("_f_z", "_fz");
    let form = match form.strip_prefix('_') {
        Some(form) => form.to_owned(),
        None if form.is_empty() => form,
        None => return None,
    };
    let is_known = FORMS.contains(&form.as_str()) || (builtin == Builtin::IsoUtc && form == "fz");
    is_known.then_some((builtin, form))
}

impl Builtin {
    /// Whether it asks about the loop that its left side names.
    pub(crate) fn is_loop(self) -> bool {
        matches!(
            self,
            Self::Index
                | Self::Counter
                | Self::HasNext
                | Self::IsFirst
                | Self::IsLast
                | Self::IsEvenItem
                | Self::IsOddItem
                | Self::ItemParity
                | Self::ItemParityCap
                | Self::ItemCycle
        )
    }

    /// Whether its argument is a lambda.
    pub(crate) fn takes_lambda(self) -> bool {
        matches!(self, Self::Filter | Self::Map | Self::TakeWhile | Self::DropWhile)
    }

    /// Which argument holds flags, if one does.
    pub(crate) fn flags_at(self) -> Option<usize> {
        match self {
            Self::Replace | Self::EnsureStartsWith => Some(2),
            Self::Split
            | Self::Matches
            | Self::KeepAfter
            | Self::KeepAfterLast
            | Self::KeepBefore
            | Self::KeepBeforeLast => Some(1),
            _ => None,
        }
    }

    /// Whether it takes a missing value on its left side.
    pub(crate) fn takes_missing(self) -> bool {
        matches!(self, Self::Default | Self::Exists | Self::HasContent | Self::IfExists)
    }

    /// Whether the escape option leaves an interpolation that ends with it alone: it is escaped already, or must not be.
    pub(crate) fn leaves_escaping_alone(self) -> bool {
        matches!(self, Self::Html | Self::Xhtml | Self::Xml | Self::NoEsc)
    }

    /// Whether its result cannot hold anything that HTML would read as markup, whatever its left side.
    pub(crate) fn is_safe_in_html(self) -> bool {
        matches!(
            self,
            Self::Html
                | Self::Xhtml
                | Self::Xml
                | Self::Url
                | Self::UrlPath
                | Self::C
                | Self::Abs
                | Self::Ceiling
                | Self::Floor
                | Self::Round
                | Self::Int
                | Self::Long
                | Self::Number
                | Self::Size
                | Self::Length
                | Self::IndexOf
                | Self::LastIndexOf
                | Self::SeqIndexOf
                | Self::SeqLastIndexOf
                | Self::Index
                | Self::Counter
                | Self::ItemParity
                | Self::ItemParityCap
                | Self::Date
                | Self::DateTime
                | Self::Time
                | Self::NumberToDate
                | Self::NumberToDateTime
                | Self::NumberToTime
                | Self::NoEsc
                | Self::Iso
                | Self::IsoLocal
                | Self::IsoUtc
        )
    }
}
