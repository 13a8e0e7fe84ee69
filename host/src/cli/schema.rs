//! `pipepost schema`.

use pipepost_flowspec::schema;

use super::arguments::SchemaOptions;
use super::error::CliError;
use super::logging::answer_json_text;
use super::setup;

pub(super) async fn execute(options: &SchemaOptions) -> Result<u8, CliError> {
    let text = match options.of.as_str() {
        "account" => pipepost_accounts::ACCOUNT_SCHEMA.trim_end().to_owned(),
        "policy" => pipepost::policy::POLICY_SCHEMA.trim_end().to_owned(),
        "document" => {
            let host = setup::host(&options.host).await?;
            format!("{:#}", schema::document(host.connectors()))
        }
        step => {
            let host = setup::host(&options.host).await?;
            let schema = schema::parameters(host.connectors(), step).ok_or_else(|| {
                let sentence = format!(
                    "There is no schema of `{step}`: name a step's type, such as `email-connector-v2` or `choice`, or `document`, `account` or `policy`."
                );
                CliError::usage(sentence)
            })?;
            format!("{schema:#}")
        }
    };
    answer_json_text(&text).map_err(|error| CliError::io("standard output", &error))?;
    Ok(0)
}
