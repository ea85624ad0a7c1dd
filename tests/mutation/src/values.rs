//! Proposes values for a function to return instead of its own.

use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeParamBound};

/// What replaces the body of a function.
pub enum Replacement {
    /// The function returns this expression at once.
    Value(String),
    /// The iterator that the function returns has no items.
    NoItems,
}

/// Every replacement for the body of a function with this return type.
pub fn replacements(output: &ReturnType) -> Vec<Replacement> {
    match output {
        ReturnType::Default => vec![Replacement::Value("()".into())],
        ReturnType::Type(_, output) if matches!(**output, Type::ImplTrait(_)) => {
            vec![Replacement::NoItems]
        }
        ReturnType::Type(_, output) => values(output).into_iter().map(Replacement::Value).collect(),
    }
}

/// Values of the type `output`, as source. The compiler refuses those that do not exist.
fn values(output: &Type) -> Vec<String> {
    match output {
        Type::Path(path) => path.path.segments.last().map_or_else(Vec::new, of_path),
        Type::Tuple(tuple) => product(tuple.elems.iter().map(values)),
        Type::Reference(reference) => of_reference(&reference.elem),
        Type::Array(array) => {
            values(&array.elem).iter().map(|value| format!("[{value}; _]")).collect()
        }
        Type::Paren(inner) => values(&inner.elem),
        Type::Group(inner) => values(&inner.elem),
        _ => Vec::new(),
    }
}

fn of_path(segment: &syn::PathSegment) -> Vec<String> {
    let arguments = arguments(&segment.arguments);
    let wrapped = |wrap: &str| -> Vec<String> {
        let inner = arguments.first().map_or_else(|| vec![DEFAULT.into()], |inner| values(inner));
        inner.iter().map(|value| format!("{wrap}({value})")).collect()
    };
    let few = |values: &[&str]| values.iter().map(ToString::to_string).collect();
    match segment.ident.to_string().as_str() {
        "bool" => few(&["true", "false"]),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => few(&["0", "1"]),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => few(&["0", "1", "-1"]),
        "Ordering" => few(&["Less", "Equal", "Greater"])
            .iter()
            .map(|name: &String| format!("core::cmp::Ordering::{name}"))
            .collect(),
        "Option" => [vec!["None".to_owned()], wrapped("Some")].concat(),
        "Result" => wrapped("Ok"),
        "Vec" => {
            let one = arguments.first().map_or_else(Vec::new, |inner| values(inner));
            let one = one.iter().map(|value| format!("[{value}].into_iter().collect()"));
            [DEFAULT.to_owned()].into_iter().chain(one).collect()
        }
        _ => few(&[DEFAULT]),
    }
}

fn of_reference(target: &Type) -> Vec<String> {
    match target {
        Type::Path(path) if path.path.is_ident("str") => {
            vec!["\"\"".into(), "\"xyzzy\"".into()]
        }
        Type::Slice(slice) => {
            let one = values(&slice.elem);
            let one = one.iter().map(|value| format!("crate::mutant::leak([{value}])"));
            ["crate::mutant::leak([])".to_owned()].into_iter().chain(one).collect()
        }
        _ => values(target).iter().map(|value| format!("crate::mutant::leak({value})")).collect(),
    }
}

fn arguments(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(it) => Some(it),
        _ => None,
    });
    types.collect()
}

/// Every tuple that has one of the values of each place.
fn product(places: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut tuples = vec![String::new()];
    for place in places {
        let longer = |tuple: &String| -> Vec<String> {
            place.iter().map(|value| format!("{tuple}{value}, ")).collect()
        };
        tuples = tuples.iter().flat_map(longer).collect();
    }
    tuples.into_iter().map(|tuple| format!("({tuple})")).collect()
}

/// Whether this is the type of an iterator that has no name.
pub fn is_iterator(output: &ReturnType) -> bool {
    let ReturnType::Type(_, output) = output else { return false };
    let Type::ImplTrait(bounds) = &**output else { return false };
    bounds.bounds.iter().any(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return false };
        bound.path.segments.last().is_some_and(|last| last.ident == "Iterator")
    })
}

const DEFAULT: &str = "Default::default()";
