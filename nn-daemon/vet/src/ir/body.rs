//! A body of an IR, the net itself or that of a loop or a branch: its layers, each of a known operator set, and its edges,
//! each from a port that is there to one that nobody else feeds.

use std::collections::{HashMap, HashSet};

use nn_tensor::{DType, Dim, RANK_MAX};

use super::constant;
use super::xml::{Element, Xml, malformed};
use crate::refusal::{Refusal, Rule, quoted};
use crate::rules::{DEPTH_MAX, Rules};

/// The operator sets of OpenVINO 2026: opset1 to this one.
const OPSET_MAX: u32 = 16;

/// A layer and one of its ports.
type Port = (u64, u64);

/// One input or output of a body.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) name: Option<String>,
    pub(super) dtype: Option<DType>,
    pub(super) dims: Option<Vec<Dim>>,
}

/// What a body takes and gives, in the order of its layers.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) parameters: Vec<End>,
    pub(super) results: Vec<End>,
}

/// What edges are held against.
#[derive(Debug, Default)]
struct Ports {
    layers: HashSet<u64>,
    /// What comes out of them.
    sources: HashMap<Port, End>,
    /// What goes in, and whether something does.
    sinks: HashMap<Port, bool>,
    parameters: Vec<Port>,
    /// Their input, and the name that they give it.
    results: Vec<(Port, Option<String>)>,
    from: HashMap<Port, Port>,
}

/// A layer while it is read.
#[derive(Debug)]
struct Layer {
    id: u64,
    name: String,
    op: String,
    output_names: Option<String>,
    data: Option<Element>,
    inputs: Vec<u64>,
    outputs: Vec<(u64, End)>,
}

/// Reads a file, and counts.
pub(super) struct Reader<'a> {
    pub(super) xml: Xml<'a>,
    pub(super) layers: u64,
    pub(super) parameter_bytes: u64,
    layers_max: u64,
    weights: u64,
}

fn wiring(got: String) -> Refusal {
    Refusal::new(Rule::Wiring).got(got)
}

fn unknown(element: &Element) -> Refusal {
    malformed(&format!(
        "an unknown element {}",
        quoted(element.name.as_bytes())
    ))
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, weights: u64, rules: &Rules) -> Self {
        Self {
            xml: Xml::new(text, rules.elements_max()),
            layers: 0,
            parameter_bytes: 0,
            layers_max: rules.nodes_max,
            weights,
        }
    }

    /// The content of a net or body, to its end.
    pub(super) fn body(&mut self, depth: u32) -> Result<Body, Refusal> {
        if depth > DEPTH_MAX {
            return Err(Refusal::new(Rule::Depth)
                .expected(format!("at most {DEPTH_MAX} bodies inside each other")));
        }
        let mut ports = Ports::default();
        while let Some(part) = self.xml.child()? {
            match part.name.as_str() {
                "layers" => {
                    while let Some(layer) = self.xml.child()? {
                        self.layer(&layer, depth, &mut ports)?;
                    }
                }
                "edges" => {
                    while let Some(edge) = self.xml.child()? {
                        ports.edge(&edge)?;
                        self.xml.skip()?;
                    }
                }
                "rt_info" | "meta_data" => self.xml.skip()?,
                _ => return Err(unknown(&part)),
            }
        }
        ports.close()
    }

    fn layer(&mut self, element: &Element, depth: u32, ports: &mut Ports) -> Result<(), Refusal> {
        if element.name != "layer" {
            return Err(unknown(element));
        }
        self.layers = self.layers.saturating_add(1);
        if self.layers > self.layers_max {
            return Err(Refusal::new(Rule::Nodes).expected(format!("at most {}", self.layers_max)));
        }
        let text = |name: &str| element.attribute(name).unwrap_or_default().to_owned();
        let mut layer = Layer {
            id: element.number("id")?,
            name: text("name"),
            op: text("type"),
            output_names: element.attribute("output_names").map(str::to_owned),
            data: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let place = format!("layer {} {}", layer.id, quoted(layer.name.as_bytes()));
        operator_set(&text("version"), &layer.op)
            .and_then(|()| element.names_no_file())
            .and_then(|()| self.content(&mut layer, depth))
            .and_then(|()| self.constant(&layer))
            .and_then(|()| ports.add(layer))
            .map_err(|refusal| refusal.inside(&place))
    }

    /// What is in a layer, to its end.
    fn content(&mut self, layer: &mut Layer, depth: u32) -> Result<(), Refusal> {
        while let Some(part) = self.xml.child()? {
            match part.name.as_str() {
                "data" if layer.data.is_none() => {
                    part.names_no_file()?;
                    layer.data = Some(part);
                    self.xml.skip()?;
                }
                "input" => {
                    while let Some(port) = self.xml.child()? {
                        let (id, _) = self.port(&port)?;
                        layer.inputs.push(id);
                    }
                }
                "output" => {
                    while let Some(port) = self.xml.child()? {
                        let port = self.port(&port)?;
                        layer.outputs.push(port);
                    }
                }
                "body" | "then_body" | "else_body" => {
                    self.body(depth.saturating_add(1))?;
                }
                "port_map" | "back_edges" | "then_port_map" | "else_port_map" | "rt_info" => {
                    self.xml.skip()?;
                }
                _ => return Err(unknown(&part)),
            }
        }
        Ok(())
    }

    fn port(&mut self, port: &Element) -> Result<(u64, End), Refusal> {
        if port.name != "port" {
            return Err(unknown(port));
        }
        let mut dims = Vec::new();
        while let Some(part) = self.xml.child()? {
            match part.name.as_str() {
                "dim" if dims.len() == RANK_MAX => return Err(constant::too_many_dimensions()),
                "dim" => dims.push(constant::dim(&self.xml.text()?)?),
                "rt_info" => self.xml.skip()?,
                _ => return Err(unknown(&part)),
            }
        }
        let end = End {
            name: port.attribute("names").map(first_name),
            dtype: port.attribute("precision").and_then(constant::dtype),
            dims: Some(dims),
        };
        Ok((port.number("id")?, end))
    }

    fn constant(&mut self, layer: &Layer) -> Result<(), Refusal> {
        if layer.op != "Const" {
            return Ok(());
        }
        let data = layer.data.as_ref();
        let data = data.ok_or_else(|| malformed("a constant without data"))?;
        let bytes = constant::judge(data, self.weights)?;
        self.parameter_bytes = self.parameter_bytes.saturating_add(bytes);
        Ok(())
    }
}

/// The first of names that are separated by commas; a comma in a name is escaped.
fn first_name(names: &str) -> String {
    let mut first = String::new();
    let mut escaped = false;
    for c in names.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            ',' if !escaped => break,
            c => {
                first.push(c);
                escaped = false;
            }
        }
    }
    first
}

fn operator_set(version: &str, op: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if op.is_empty() || op.len() > 64 || !op.chars().all(plain) {
        return Err(malformed("a layer of no type"));
    }
    let expected = || format!("opset1 to opset{OPSET_MAX}");
    let set = version.strip_prefix("opset");
    match set.and_then(|number| number.parse::<u32>().ok()) {
        Some(number) if (1..=OPSET_MAX).contains(&number) => Ok(()),
        Some(number) => Err(Refusal::new(Rule::IrVersion)
            .expected(expected())
            .got(format!("opset{number}"))),
        None => Err(Refusal::new(Rule::CustomOp)
            .expected(expected())
            .got(format!("{op} of {}", quoted(version.as_bytes())))),
    }
}

// === impl Ports ===

impl Ports {
    fn add(&mut self, layer: Layer) -> Result<(), Refusal> {
        let id = layer.id;
        if !self.layers.insert(id) {
            return Err(wiring("a second layer of that id".to_owned()));
        }
        for &port in &layer.inputs {
            if self.sinks.insert((id, port), false).is_some() {
                return Err(wiring(format!("port {port} twice")));
            }
        }
        match (
            layer.op.as_str(),
            layer.inputs.as_slice(),
            layer.outputs.as_slice(),
        ) {
            ("Parameter", [], [(port, _)]) => self.parameters.push((id, *port)),
            ("Result", [port], []) => {
                let name = layer.output_names.as_deref().map(first_name);
                self.results.push(((id, *port), name));
            }
            ("Parameter" | "Result", ..) => {
                return Err(wiring("more or fewer ports than it has".to_owned()));
            }
            _ => {}
        }
        let said = layer.data.as_ref().filter(|_| layer.op == "Parameter");
        for (port, mut end) in layer.outputs {
            if let Some(data) = said {
                end.dtype = data.attribute("element_type").and_then(constant::dtype);
                end.dims = constant::shape(data.attribute("shape").unwrap_or_default())?;
                end.name = end.name.or_else(|| Some(layer.name.clone()));
            }
            if self.sources.insert((id, port), end).is_some()
                || self.sinks.contains_key(&(id, port))
            {
                return Err(wiring(format!("port {port} twice")));
            }
        }
        Ok(())
    }

    fn edge(&mut self, edge: &Element) -> Result<(), Refusal> {
        if edge.name != "edge" {
            return Err(unknown(edge));
        }
        let from = (edge.number("from-layer")?, edge.number("from-port")?);
        let to = (edge.number("to-layer")?, edge.number("to-port")?);
        if !self.sources.contains_key(&from) {
            return Err(wiring(format!("an edge from {from:?}, which is no output")));
        }
        match self.sinks.get_mut(&to) {
            None => return Err(wiring(format!("an edge to {to:?}, which is no input"))),
            Some(fed @ false) => *fed = true,
            Some(true) => return Err(wiring(format!("a second edge to {to:?}"))),
        }
        self.from.insert(to, from);
        Ok(())
    }

    fn close(mut self) -> Result<Body, Refusal> {
        if let Some((port, _)) = self.sinks.iter().find(|(_, fed)| !**fed) {
            return Err(wiring(format!("an input {port:?} without an edge")));
        }
        let mut body = Body::default();
        for (sink, name) in &self.results {
            let from = self.from.get(sink);
            let source = from.and_then(|from| self.sources.get(from)).cloned();
            let mut end = source.ok_or_else(|| wiring("a result of nothing".to_owned()))?;
            end.name = name.clone().or(end.name);
            body.results.push(end);
        }
        let parameters = self.parameters.iter();
        body.parameters = parameters
            .filter_map(|port| self.sources.remove(port))
            .collect();
        Ok(body)
    }
}
