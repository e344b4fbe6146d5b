//! The model of a graph, and what stands behind it: nothing but what names its answers.

use modelgate_core::schema::{Classes, FeatureType};

use super::super::constants::{Constant, Values};
use super::super::load::{LoadedModel, refuse};
use super::super::proto::{Graph, Node, data_type};
use super::super::{ensembles, linear};
use super::{Element, Known, Loader, Shape, first_of_ties, int, unfit};
use crate::error::ModelError;
use crate::estimator::{Estimator, LinearClassifier, LinearRegressor};

/// What is known of a value that the model gives.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Answer {
    /// The number.
    Number,
    /// One column per class.
    Probabilities,
    /// The probability of one class.
    Probability(usize),
    /// The place of the most probable class.
    Place,
    /// The most probable class.
    Label,
    /// What the model's own operator calls its label, where that may be another class.
    OwnLabel,
}

impl<'a> Loader<'a> {
    fn accept(&mut self, estimator: Estimator, slot: usize) -> Result<(), ModelError> {
        if self.estimator.is_some() {
            return refuse("a second model in a graph is not known to the built-in engine");
        }
        self.estimator = Some((estimator, slot));
        Ok(())
    }

    /// A softmax of a matrix is a linear model that takes its scores as they are.
    pub(super) fn softmax(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind, features) = self.matrix(node, 0)?;
        // The coefficients are a square.
        let fits = matches!(kind.shape, Shape::Matrix(2..=1000))
            && [None, Some(1), Some(-1)].contains(&int(node, "axis"));
        if !fits {
            return unfit(node, format!("{kind}, along axis {}", int(node, "axis").unwrap_or(-1)));
        }
        let mut coefficients = vec![0.0; features * features];
        coefficients.iter_mut().step_by(features + 1).for_each(|one| *one = 1.0);
        let linear = LinearClassifier { features, coefficients, intercepts: vec![0.0; features] };
        self.accept(Estimator::LinearClassifier(linear), slot)?;
        self.name(Self::output(node, 0)?, Known::Answer(Answer::Probabilities))
    }

    pub(super) fn model(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let (slot, kind, features) = self.matrix(node, 0)?;
        if !matches!(kind.shape, Shape::Matrix(1..)) {
            return unfit(node, kind);
        }
        let (estimator, classes) = ensembles::read(node, features)?;
        let classifies = !matches!(
            estimator,
            Estimator::LinearRegressor(_) | Estimator::ForestRegressor(_) | Estimator::BoostedRegressor(_)
        );
        // Of two classes that both have values ONNX Runtime takes the second wherever it has any.
        let highest = match &estimator {
            Estimator::ForestClassifier(forest) => forest.outputs != 2,
            Estimator::BoostedClassifier(boosted) => boosted.scores != 2,
            _ => true,
        };
        self.accept(estimator, slot)?;
        self.classes = classes;
        if !classifies || node.op_type == "TreeEnsemble" {
            let answer = if classifies { Answer::Probabilities } else { Answer::Number };
            return self.name(Self::output(node, 0)?, Known::Answer(answer));
        }
        let label = if highest { Answer::Label } else { Answer::OwnLabel };
        self.name(Self::output(node, 0)?, Known::Answer(label))?;
        match node.output.get(1) {
            Some(name) => self.name(name, Known::Answer(Answer::Probabilities)),
            None => Ok(()),
        }
    }

    /// Takes a node behind the model, whose input `at` is `answer`.
    pub(super) fn behind(&mut self, node: &'a Node, at: usize, answer: &Answer) -> Result<(), ModelError> {
        let to = int(node, "to");
        let float = Some(i64::from(data_type::FLOAT));
        if (node.op_type.as_str(), answer, at) == ("Split", &Answer::Probabilities, 0) {
            return self.split(node);
        }
        let sharp = matches!(self.estimator, Some((Estimator::LinearClassifier(_), _)));
        let found = match (node.op_type.as_str(), answer, at) {
            ("Identity", answer, 0) => answer.clone(),
            ("Cast", Answer::Number | Answer::Probabilities | Answer::Probability(_), 0) if to == float => {
                answer.clone()
            }
            ("Cast", Answer::Label | Answer::OwnLabel, 0) => answer.clone(),
            ("Reshape", Answer::Number, 0) if matches!(self.ints(node, 1)?, [-1] | [-1, 1]) => answer.clone(),
            ("Reshape", Answer::Label | Answer::OwnLabel | Answer::Place, 0) => answer.clone(),
            ("Squeeze", Answer::Number | Answer::Probability(_), 0) => answer.clone(),
            // Probabilities sum to one but for rounding.
            ("Normalizer", Answer::Probabilities, 0)
                if sharp && node.attribute("norm").is_some_and(|norm| norm.s == b"L1") =>
            {
                answer.clone()
            }
            ("ArgMax", Answer::Probabilities, 0) if int(node, "axis") == Some(1) && first_of_ties(node) => {
                Answer::Place
            }
            ("Gather", Answer::Probabilities, 0) if int(node, "axis") == Some(1) => {
                match self.constant(node, 1)?.and_then(Constant::ints) {
                    Some([place]) => match usize::try_from(*place) {
                        Ok(place) => Answer::Probability(place),
                        Err(_) => return unfit(node, format!("the class {place}")),
                    },
                    _ => return unfit(node, "several classes"),
                }
            }
            ("Gather" | "ArrayFeatureExtractor", Answer::Place, 1) => {
                let classes = match self.constant(node, 0)?.map(|constant| &constant.values) {
                    Some(Values::Ints(values)) => Classes::Int(values.clone()),
                    Some(Values::Texts(values)) => Classes::Text(values.clone()),
                    _ => return unfit(node, "classes that are neither whole numbers nor texts"),
                };
                self.named(classes)?;
                Answer::Label
            }
            ("LabelEncoder", Answer::Place, 0) => {
                let count = self.classes.as_ref().map_or(0, Classes::len);
                self.named(linear::class_names(node, count)?)?;
                Answer::Label
            }
            // The first node that stands behind every graph of a classification.
            ("ArgMax", Answer::Number, 0) if node.name.starts_with("modelgate/after/") => {
                return refuse(
                    "the model gives a number, and the target of a classification has classes: import it into a pipeline of \
                     `task: regression`",
                );
            }
            (operator, ..) => {
                return refuse(format!("{operator} behind the model is not known to the built-in engine"));
            }
        };
        self.name(Self::output(node, 0)?, Known::Answer(found))
    }

    /// Takes the probabilities apart, one column for each class.
    fn split(&mut self, node: &'a Node) -> Result<(), ModelError> {
        let count = self.estimator.as_ref().and_then(|(estimator, _)| estimator.classes());
        let single = |widths: &[i64]| widths.iter().all(|width| *width == 1);
        let widths = node.attribute("split").map(|attribute| single(&attribute.ints));
        let given = match self.constant(node, 1)? {
            Some(_) => Some(single(self.ints(node, 1)?)),
            None => None,
        };
        if int(node, "axis") != Some(1)
            || count != Some(node.output.len())
            || [widths, given].contains(&Some(false))
        {
            return unfit(node, "other parts than one column for each class");
        }
        for (class, name) in node.output.iter().enumerate() {
            self.name(name, Known::Answer(Answer::Probability(class)))?;
        }
        Ok(())
    }

    /// Holds the classes that labels are taken from against those of the model.
    fn named(&mut self, classes: Classes) -> Result<(), ModelError> {
        match &self.classes {
            Some(own) if *own != classes => refuse(format!(
                "the classes of the model are [{}] and not [{}]",
                own.names().join(", "),
                classes.names().join(", ")
            )),
            Some(_) => Ok(()),
            None => {
                self.classes = Some(classes);
                Ok(())
            }
        }
    }

    pub(super) fn finish(
        mut self,
        graph: &Graph,
        inputs: Vec<(String, FeatureType)>,
    ) -> Result<LoadedModel, ModelError> {
        let answer = |name: &str| match self.known.get(name) {
            Some(Known::Answer(answer)) => Some(answer.clone()),
            _ => None,
        };
        let outputs: Vec<(&str, Option<Answer>)> =
            graph.output.iter().map(|output| (output.name.as_str(), answer(&output.name))).collect();
        match &outputs[..] {
            [("prediction", Some(Answer::Number))] => {}
            [("prediction", None)] => {
                // Operators alone: the last one's value is the answer.
                let Some(Known::Value(slot, kind)) = self.known.get("prediction").cloned() else {
                    return refuse("nothing computes its output");
                };
                if kind.element != Element::Float || kind.shape.width() != 1 {
                    return refuse("its output is not one number per row");
                }
                let linear = LinearRegressor { features: 1, coefficients: vec![1.0], intercept: -0.0 };
                self.accept(Estimator::LinearRegressor(linear), slot)?;
            }
            [("label", Some(Answer::Label)), probabilities @ ..] => {
                let names = self.classes.as_ref().map_or_else(Vec::new, Classes::names);
                let expected = names.iter().enumerate();
                let fits =
                    expected.map(|(at, name)| (format!("probability_{name}"), Some(Answer::Probability(at))));
                if !probabilities.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).eq(fits) {
                    return refuse("its outputs are not `label` and one probability for each class");
                }
            }
            _ => {
                return refuse(
                    "its outputs are neither `prediction` nor `label` and probabilities of the model inside",
                );
            }
        }
        let Some((estimator, features)) = self.estimator else { return refuse("it has no model") };
        if let (Some(classes), Some(count)) = (&self.classes, estimator.classes())
            && classes.len() != count
        {
            return refuse(format!("it has {} classes and {count} probabilities", classes.len()));
        }
        LoadedModel::of(inputs, self.slots, self.steps, estimator, features, self.classes)
    }
}
