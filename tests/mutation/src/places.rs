//! Finds every place of a source file that can be mutated, and the mutants of each.
//!
//! The mutations are those of cargo-mutants: a function returns a default, an operator becomes another one, a negation
//! goes, an arm of a match goes where a wildcard takes its cases, a guard is always or never true.

use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Attribute, BinOp, Block, Expr, Pat, Signature, UnOp};

use crate::values::{Replacement, is_iterator, replacements};

/// A part of the source of which there are mutants.
pub struct Place {
    pub line: usize,
    /// The qualified name of the function around it.
    pub function: String,
    /// The function is `const`, and needed where nothing can be asked at run time.
    pub is_const: bool,
    pub edit: Edit,
    /// What each mutant does, in words, with its source.
    pub mutants: Vec<(String, String)>,
}

/// How the mutants of a place are put into the source.
pub enum Edit {
    /// One of the mutants stands instead of this expression.
    Instead(Range<usize>),
    /// The one mutant of a place is a guard, and stands here.
    Guard(usize),
    /// The mutants are statements that return, and stand here.
    Return(usize),
    /// The one mutant takes the items out of this block's iterator.
    Empty(Range<usize>),
}

/// What is found in one file.
#[derive(Default)]
pub struct Found {
    pub places: Vec<Place>,
    /// The keywords `const` of functions that can do without, with the names of the functions.
    pub consts: Vec<(Range<usize>, String)>,
}

/// Finds the places of `source`. The functions for which `stays_const` is true stay `const`.
pub fn find(source: &str, stays_const: &dyn Fn(&str) -> bool) -> syn::Result<Found> {
    let file = syn::parse_file(source)?;
    let mut finder =
        Finder { source, stays_const, found: Found::default(), owner: None, function: None };
    finder.visit_file(&file);
    Ok(finder.found)
}

struct Finder<'a> {
    source: &'a str,
    stays_const: &'a dyn Fn(&str) -> bool,
    found: Found,
    /// The type of the `impl` around.
    owner: Option<String>,
    /// The function around, and whether it is `const`.
    function: Option<(String, bool)>,
}

impl Finder<'_> {
    fn text(&self, span: Span) -> &str {
        &self.source[span.byte_range()]
    }

    fn add(&mut self, span: Span, edit: Edit, mutants: Vec<(String, String)>) {
        let Some((function, is_const)) = self.function.clone() else { return };
        if !mutants.is_empty() {
            let line = span.start().line;
            self.found.places.push(Place { line, function, is_const, edit, mutants });
        }
    }

    fn in_function(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        if is_test(attributes) {
            return;
        }
        let name = signature.ident.to_string();
        let name =
            self.owner.as_ref().map_or_else(|| name.clone(), |owner| format!("{owner}::{name}"));
        let is_const = signature.constness.is_some() && (self.stays_const)(&name);
        if let (Some(word), false) = (&signature.constness, is_const) {
            self.found.consts.push((word.span().byte_range(), name.clone()));
        }
        let outer = self.function.replace((name, is_const));
        if signature.ident != "default" {
            self.replace_body(signature, block);
        }
        self.visit_block(block);
        self.function = outer;
    }

    fn replace_body(&mut self, signature: &Signature, block: &Block) {
        let body = block.brace_token.span;
        let inside = body.open().byte_range().end..body.close().byte_range().start;
        let (own, whole) = (squeeze(&self.source[inside.clone()]), body.join().byte_range());
        if is_iterator(&signature.output) {
            let mutant = ("return no items".to_owned(), String::new());
            self.add(signature.ident.span(), Edit::Empty(whole), vec![mutant]);
            return;
        }
        let values = replacements(&signature.output).into_iter().filter_map(|it| match it {
            Replacement::Value(value) => Some(value),
            Replacement::NoItems => None,
        });
        let values = values.filter(|value| squeeze(value) != own && !own.is_empty());
        let mutants = values.map(|value| (format!("return {value}"), value)).collect();
        self.add(signature.ident.span(), Edit::Return(inside.start), mutants);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = squeeze(self.text(item.self_ty.span()));
        let owner = match &item.trait_ {
            Some((_, path, _)) => format!("<{owner} as {}>", squeeze(self.text(path.span()))),
            None => owner,
        };
        let outer = self.owner.replace(owner);
        visit::visit_item_impl(self, item);
        self.owner = outer;
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let outer = self.owner.replace(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.owner = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.in_function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.in_function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.in_function(&item.attrs, &item.sig, block);
        }
    }

    // What the compiler computes cannot ask at run time.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
    }

    fn visit_expr_binary(&mut self, item: &'ast syn::ExprBinary) {
        let chains =
            matches!(item.op, BinOp::And(_)) && (has_let(&item.left) || has_let(&item.right));
        if !chains {
            let (left, right) = (self.text(item.left.span()), self.text(item.right.span()));
            let operator = self.text(item.op.span());
            let whole = shorten(self.text(item.span()));
            let mutants = others(&item.op).iter().map(|other| {
                (
                    format!("{operator} -> {other} in `{whole}`"),
                    format!("({left}) {other} ({right})"),
                )
            });
            let mutants = mutants.collect();
            self.add(item.op.span(), Edit::Instead(item.span().byte_range()), mutants);
        }
        visit::visit_expr_binary(self, item);
    }

    fn visit_expr_unary(&mut self, item: &'ast syn::ExprUnary) {
        if matches!(item.op, UnOp::Not(_) | UnOp::Neg(_)) {
            let operator = self.text(item.op.span());
            let whole = shorten(self.text(item.span()));
            let mutant =
                (format!("no {operator} in `{whole}`"), self.text(item.expr.span()).to_owned());
            self.add(item.op.span(), Edit::Instead(item.span().byte_range()), vec![mutant]);
        }
        visit::visit_expr_unary(self, item);
    }

    fn visit_expr_match(&mut self, item: &'ast syn::ExprMatch) {
        let wildcard = |arm: &Arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none();
        let deletes = item.arms.iter().any(wildcard);
        for arm in &item.arms {
            let pattern = shorten(self.text(arm.pat.span()));
            match &arm.guard {
                Some((_, guard)) if !has_let(guard) => {
                    let whole = shorten(self.text(guard.span()));
                    let constant = |value: &str| {
                        (format!("guard `{whole}` of `{pattern}` -> {value}"), value.to_owned())
                    };
                    let mutants = vec![constant("true"), constant("false")];
                    self.add(guard.span(), Edit::Instead(guard.span().byte_range()), mutants);
                }
                None if deletes && !wildcard(arm) => {
                    let mutant = (format!("no arm `{pattern}`"), String::new());
                    let end = arm.pat.span().byte_range().end;
                    self.add(arm.pat.span(), Edit::Guard(end), vec![mutant]);
                }
                _ => {}
            }
        }
        visit::visit_expr_match(self, item);
    }
}

/// What an operator becomes.
fn others(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Lt(_) => &["==", ">", "<="],
        BinOp::Gt(_) => &["==", "<", ">="],
        BinOp::Le(_) => &[">", "<"],
        BinOp::Ge(_) => &["<", ">"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::BitAnd(_) => &["|", "^"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["|", "&"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+=", "/="],
        BinOp::MulAssign(_) => &["+=", "/="],
        BinOp::DivAssign(_) => &["%=", "*="],
        BinOp::RemAssign(_) => &["/=", "+="],
        BinOp::ShlAssign(_) => &[">>="],
        BinOp::ShrAssign(_) => &["<<="],
        BinOp::BitAndAssign(_) => &["|=", "^="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["|=", "&="],
        _ => &[],
    }
}

/// Whether the expression binds names, as a condition does with `if let`.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let condition = || attribute.parse_args::<syn::Path>().is_ok_and(|it| it.is_ident("test"));
        path.is_ident("test") || path.is_ident("cfg") && condition()
    })
}

/// The source without its line breaks.
fn squeeze(source: &str) -> String {
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of the source, on one line.
fn shorten(source: &str) -> String {
    let line = squeeze(source);
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Characters of an expression that a description shows.
const SHOWN: usize = 70;
