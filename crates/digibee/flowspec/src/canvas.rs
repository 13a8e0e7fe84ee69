//! The older clipboard of the platform's canvas: an array of nodes and edges, with the tracks inside of their steps.
//!
//! A node's `data` is a step as a flowSpec has it. What follows it is said by edges; the conditions of a choice and the
//! names of parallel executions stand on them, and a step's tracks are drawings of their own
//! (`onProcessTrack: {nodes, edges}`), which begin at a node `start-track`. The drawing is turned into branches here, and
//! everything else is read as in any document. Where several ways lead to one node, each has the steps from there on.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::positions::push_token;
use crate::problem::Problem;

/// A drawing as a document.
pub(crate) struct Drawn {
    pub(crate) document: Value,
    /// Pointers into the document, each with the place in the drawing that it was made of.
    pub(crate) moved: Vec<(String, String)>,
}

/// The most steps that a drawing may become: ways that part and meet again have the steps behind them twice.
const STEPS_MAX: usize = 10_000;

/// How many branches may follow each other on one way: each is read within the one before it.
const BRANCHES_DEEP_MAX: usize = 128;

/// Whether the value is such a drawing.
pub(crate) fn is_drawing(document: &Value) -> bool {
    let elements = document.as_array().filter(|elements| !elements.is_empty());
    elements.is_some_and(|elements| {
        elements.iter().all(|element| {
            let group = element.get("group").and_then(Value::as_str);
            element.get("data").is_some_and(Value::is_object) && matches!(group, Some("nodes" | "edges"))
        })
    })
}

/// Turns a drawing into a document.
///
/// # Errors
/// A pointer into the drawing, and what is wrong there.
pub(crate) fn read(drawing: &Value) -> Result<Drawn, (String, Problem)> {
    let mut drawer = Drawer::default();
    let graph = Graph::of(drawing, "");
    let roots = graph.roots();
    let first = match roots.as_slice() {
        [one] => *one,
        [] => {
            let problem = Problem::invalid("no step of the drawing is the first: each has another one before it");
            return Err((String::new(), problem.advise("copy the steps from the first one on")));
        }
        [_, other, ..] => {
            let problem = Problem::invalid(format!(
                "it is not clear where the drawing begins: {} steps have nothing before them",
                roots.len()
            ));
            return Err((
                graph.pointer(other),
                problem.advise("copy one flow at a time, or connect the steps"),
            ));
        }
    };
    drawer.branch(&graph, &format!("disconnected-root:{first}"), first)?;
    Ok(Drawn {
        document: json!({ "flowSpec": drawer.branches }),
        moved: drawer.moved,
    })
}

/// The nodes and edges of one drawing, or of one track.
struct Graph<'d> {
    nodes: HashMap<&'d str, (&'d Map<String, Value>, String)>,
    /// The nodes' ids in their order.
    order: Vec<&'d str>,
    edges: Vec<Edge<'d>>,
    /// The edges that begin at a node, by their numbers.
    outgoing: HashMap<&'d str, Vec<usize>>,
}

struct Edge<'d> {
    from: &'d str,
    to: &'d str,
    /// What the edge says of itself: a condition, a name.
    label: Option<&'d Map<String, Value>>,
    pointer: String,
}

/// Where a track begins; it is no step.
const TRACK_START: &str = "start-track";

impl<'d> Graph<'d> {
    fn of(drawing: &'d Value, at: &str) -> Self {
        let mut graph = Self {
            nodes: HashMap::new(),
            order: Vec::new(),
            edges: Vec::new(),
            outgoing: HashMap::new(),
        };
        match drawing {
            Value::Array(elements) => graph.add(elements, at),
            Value::Object(parts) => {
                for name in ["nodes", "edges"] {
                    if let Some(Value::Array(elements)) = parts.get(name) {
                        graph.add(elements, &format!("{at}/{name}"));
                    }
                }
            }
            _ => {}
        }
        graph
    }

    fn add(&mut self, elements: &'d [Value], at: &str) {
        for (index, element) in elements.iter().enumerate() {
            let Some(Value::Object(data)) = element.get("data") else {
                continue;
            };
            let pointer = format!("{at}/{index}/data");
            let text = |name: &str| data.get(name).and_then(Value::as_str);
            match (text("source"), text("target"), text("id")) {
                (Some(from), Some(to), _) => {
                    self.outgoing.entry(from).or_default().push(self.edges.len());
                    self.edges.push(Edge {
                        from,
                        to,
                        label: data.get("data").and_then(Value::as_object),
                        pointer,
                    });
                }
                (_, _, Some(id)) => {
                    self.order.push(id);
                    self.nodes.insert(id, (data, pointer));
                }
                _ => {}
            }
        }
    }

    /// The nodes that nothing leads to, save a track's start.
    fn roots(&self) -> Vec<&'d str> {
        let steps = self.order.iter().copied().filter(|id| !self.is_start(id));
        let led_to: HashSet<&str> = self
            .edges
            .iter()
            .filter(|edge| self.leads(edge))
            .map(|edge| edge.to)
            .collect();
        steps.filter(|id| !led_to.contains(id)).collect()
    }

    /// An edge whose beginning was not copied leads from nowhere.
    fn leads(&self, edge: &Edge<'_>) -> bool {
        self.nodes.contains_key(edge.from) && !self.is_start(edge.from)
    }

    fn is_start(&self, id: &str) -> bool {
        let node = self.nodes.get(id);
        id == TRACK_START || node.is_some_and(|(data, _)| data.get("type").and_then(Value::as_str) == Some(TRACK_START))
    }

    fn pointer(&self, id: &str) -> String {
        self.nodes
            .get(id)
            .map(|(_, pointer)| pointer.clone())
            .unwrap_or_default()
    }

    fn from<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'s Edge<'d>> {
        let numbers = self.outgoing.get(id).into_iter().flatten();
        let edges = numbers.filter_map(|number| self.edges.get(*number));
        edges.filter(|edge| self.nodes.contains_key(edge.to))
    }
}

#[derive(Default)]
struct Drawer {
    branches: Map<String, Value>,
    moved: Vec<(String, String)>,
    steps: usize,
    /// The nodes on the way from the first one to where the drawer is.
    way: Vec<String>,
    depth: usize,
    /// How often a name was wanted.
    wanted: HashMap<String, usize>,
}

impl Drawer {
    /// A branch that begins at a node. Its name is taken at once, so that no other branch gets it.
    fn branch(&mut self, graph: &Graph<'_>, name: &str, first: &str) -> Result<(), (String, Problem)> {
        let before = self.way.len();
        self.depth += 1;
        if self.depth > BRANCHES_DEEP_MAX {
            let problem = Problem::invalid(format!("more than {BRANCHES_DEEP_MAX} branches follow each other here"));
            return Err((graph.pointer(first), problem.advise("copy a part of the drawing")));
        }
        self.branches.insert(name.to_owned(), Value::Null);
        let mut steps = Vec::new();
        let mut next = Some(first);
        while let Some(id) = next.take() {
            let Some((data, pointer)) = graph.nodes.get(id) else {
                break;
            };
            let wrong = |message: String, advice: &str| (pointer.clone(), Problem::invalid(message).advise(advice));
            if self.way.iter().any(|passed| passed == id) {
                return Err(wrong(
                    "the drawing leads back to this step, without end".to_owned(),
                    "use a retry or a for-each step to repeat work",
                ));
            }
            self.way.push(id.to_owned());
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(wrong(
                    format!(
                        "the drawing is more than {STEPS_MAX} steps long, those that several ways share counted for each"
                    ),
                    "copy a part of it",
                ));
            }
            let mut place = String::from("/flowSpec");
            push_token(&mut place, name);
            push_token(&mut place, &steps.len().to_string());
            self.moved.push((place.clone(), pointer.clone()));
            let mut step = (*data).clone();
            self.tracks(&mut step, id, pointer)?;
            let edges: Vec<&Edge<'_>> = graph.from(id).collect();
            if step.get("type").and_then(Value::as_str) == Some("choice") {
                self.choice(graph, &mut step, &edges, &place)?;
            } else if step.get("name").and_then(Value::as_str) == Some("parallel-execution-connector") {
                self.executions(graph, &mut step, id, &edges, &place, &mut next)?;
            } else {
                match edges.as_slice() {
                    [] => {}
                    [one] => next = Some(one.to),
                    _ => {
                        return Err(wrong(
                            format!("{} steps follow this one, and it is no choice", edges.len()),
                            "let a choice or a parallel execution lead to them",
                        ));
                    }
                }
            }
            steps.push(Value::Object(step));
        }
        self.way.truncate(before);
        self.depth -= 1;
        self.branches.insert(name.to_owned(), Value::Array(steps));
        Ok(())
    }

    /// The tracks that are drawn inside of a step become branches, under the names that the platform gives them.
    fn tracks(&mut self, step: &mut Map<String, Value>, id: &str, pointer: &str) -> Result<(), (String, Problem)> {
        for (track, parameter) in [("onProcessTrack", "onProcess"), ("onExceptionTrack", "onException")] {
            let drawn = step.shift_remove(track);
            // What stands there names the drawing's start, and no branch.
            if let Some(params) = step.get_mut("params").and_then(Value::as_object_mut)
                && params.get(parameter).and_then(Value::as_str) == Some(TRACK_START)
            {
                params.shift_remove(parameter);
            }
            let Some(drawing) = drawn.filter(|drawing| drawing.is_object() || drawing.is_array()) else {
                continue;
            };
            let at = format!("{pointer}/{track}");
            let graph = Graph::of(&drawing, &at);
            let roots = graph.roots();
            let first = match roots.as_slice() {
                [] => continue,
                [one] => *one,
                _ => {
                    let problem = Problem::invalid(format!(
                        "it is not clear where the track begins: {} steps have nothing before them",
                        roots.len()
                    ));
                    return Err((at, problem.advise("connect the steps")));
                }
            };
            let name = self.free(&format!("{id}-{track}"));
            self.branch(&graph, &name, first)?;
            let params = step.entry("params").or_insert_with(|| json!({}));
            if let Value::Object(params) = params {
                params.insert(parameter.to_owned(), name.into());
            }
        }
        Ok(())
    }

    fn choice(
        &mut self,
        graph: &Graph<'_>,
        step: &mut Map<String, Value>,
        edges: &[&Edge<'_>],
        place: &str,
    ) -> Result<(), (String, Problem)> {
        let (mut when, mut otherwise) = (Vec::new(), Value::Null);
        for edge in edges {
            let text = |name: &str| edge.label.and_then(|label| label.get(name)?.as_str());
            let name = self.target(graph, edge, text("label"))?;
            if text("conditionType") == Some("otherwise") {
                otherwise = name.into();
                continue;
            }
            let rule = match text("conditionRule") {
                Some("simple") => "simple",
                _ => "jsonPath",
            };
            let mut way = Map::new();
            way.insert("target".to_owned(), name.into());
            if let Some(condition) = text("condition") {
                way.insert(rule.to_owned(), condition.into());
            }
            self.moved
                .push((format!("{place}/when/{}", when.len()), format!("{}/data", edge.pointer)));
            when.push(Value::Object(way));
        }
        step.insert("when".to_owned(), Value::Array(when));
        step.insert("otherwise".to_owned(), otherwise);
        Ok(())
    }

    /// The edges with a name are executions; one without leads to what follows.
    fn executions<'g>(
        &mut self,
        graph: &Graph<'g>,
        step: &mut Map<String, Value>,
        id: &str,
        edges: &[&Edge<'g>],
        place: &str,
        next: &mut Option<&'g str>,
    ) -> Result<(), (String, Problem)> {
        let mut executions = Vec::new();
        for edge in edges {
            let text = |name: &str| edge.label.and_then(|label| label.get(name)?.as_str());
            let is_execution = text("executionId").is_some() || text("type") == Some("parallel");
            if !is_execution && edges.len() == 1 {
                *next = Some(edge.to);
                return Ok(());
            }
            let name = self.target(graph, edge, Some(&format!("{id}:{}", edge.to)))?;
            let mut execution = Map::new();
            execution.insert("target".to_owned(), name.into());
            for (member, names) in [
                ("executionId", ["executionId", ""]),
                ("description", ["description", "label"]),
            ] {
                if let Some(found) = names.iter().find_map(|name| text(name)) {
                    execution.insert(member.to_owned(), found.into());
                }
            }
            let at = format!("{place}/params/parallelExecutions/{}", executions.len());
            self.moved.push((at, format!("{}/data", edge.pointer)));
            executions.push(Value::Object(execution));
        }
        if let Value::Object(params) = step.entry("params").or_insert_with(|| json!({}))
            && !executions.is_empty()
        {
            params.insert("parallelExecutions".to_owned(), Value::Array(executions));
        }
        Ok(())
    }

    /// The branch that an edge leads to, under the edge's label where it has one.
    fn target(&mut self, graph: &Graph<'_>, edge: &Edge<'_>, label: Option<&str>) -> Result<String, (String, Problem)> {
        let wanted = label.filter(|label| !label.trim().is_empty()).unwrap_or(edge.to);
        let name = self.free(wanted);
        self.branch(graph, &name, edge.to)?;
        Ok(name)
    }

    fn free(&mut self, wanted: &str) -> String {
        let number = self.wanted.entry(wanted.to_owned()).or_default();
        loop {
            *number += 1;
            let name = match *number {
                1 => wanted.to_owned(),
                number => format!("{wanted} ({number})"),
            };
            if !self.branches.contains_key(&name) {
                return name;
            }
        }
    }
}
