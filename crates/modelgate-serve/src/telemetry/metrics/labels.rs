//! What metrics are told apart by. No label holds what a caller sent.

use prometheus_client::encoding::EncodeLabelSet;

/// A path that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    Predict,
    ApiPredict,
    Invocations,
    V2Infer,
    Explain,
}

impl Route {
    pub(crate) const ALL: [Self; 5] =
        [Self::Predict, Self::ApiPredict, Self::Invocations, Self::V2Infer, Self::Explain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::ApiPredict => "api_predict",
            Self::Invocations => "invocations",
            Self::V2Infer => "v2_infer",
            Self::Explain => "explain",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) track: &'static str,
    pub(super) route: &'static str,
    pub(super) code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct VersionLabels {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) track: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ModelLabels {
    pub(super) model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ClassLabels {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) track: &'static str,
    pub(super) class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) model: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct InfoLabels {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) track: &'static str,
    pub(super) verified: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) track: &'static str,
    pub(super) route: &'static str,
}
