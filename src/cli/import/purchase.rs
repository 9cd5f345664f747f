//! Orders: amounts, refunds and line items.

use super::columns::{Lines, Scope};
use super::expression::{Compiler, Expression};
use super::fault::Findings;
use super::mapping::{ItemsSpec, PurchaseSpec};
use super::payload::{flag, number, required, text};
use crate::domain::limits;
use crate::rpc::pb;

/// `rapport.v1.Purchase`, compiled for a file.
pub struct PurchasePlan {
    order_id: Option<Expression>,
    revenue: Option<Expression>,
    currency: Option<Expression>,
    refund: Option<Expression>,
    items: Option<ItemsPlan>,
}

/// `rapport.v1.LineItem`, field by field, and the lines that each become one.
struct ItemsPlan {
    lines: Option<Lines>,
    product_id: Option<Expression>,
    name: Option<Expression>,
    quantity: Option<Expression>,
    unit_price: Option<Expression>,
    category: Option<Expression>,
}

impl PurchasePlan {
    /// Compiles `[event.purchase]`.
    ///
    /// # Errors
    /// When a part cannot be compiled, or neither an amount nor items to compute it from are given.
    pub fn compile(
        compiler: &mut Compiler<'_>,
        spec: &PurchaseSpec,
        key: &str,
        over: Option<Lines>,
    ) -> anyhow::Result<Self> {
        let has_price = spec.items.as_ref().is_some_and(|items| items.unit_price.is_some());
        anyhow::ensure!(spec.revenue.is_some() || has_price, "{key} needs `revenue`, or `items` with a `unit_price`");
        let items = spec.items.as_ref();
        Ok(Self {
            order_id: compiler.option(spec.order_id.as_ref(), &format!("{key}.order_id"), over)?,
            revenue: compiler.option(spec.revenue.as_ref(), &format!("{key}.revenue"), over)?,
            currency: compiler.option(spec.currency.as_ref(), &format!("{key}.currency"), over)?,
            refund: compiler.option(spec.refund.as_ref(), &format!("{key}.refund"), over)?,
            items: items.map(|items| ItemsPlan::compile(compiler, items, &format!("{key}.items"), over)).transpose()?,
        })
    }

    /// The purchase of a line or group; nothing where its amount is blank or broken.
    pub fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<pb::Purchase> {
        let mut items = self.items.as_ref().map_or_else(Vec::new, |items| items.build(scope, findings));
        let revenue = match &self.revenue {
            Some(revenue) => {
                let amount = revenue.number(scope, findings);
                required(revenue, amount, findings)?
            }
            None => items.iter().map(amount).sum(),
        };
        sum_up(&mut items, findings);
        Some(pb::Purchase {
            order_id: text(self.order_id.as_ref(), scope, findings),
            revenue,
            currency: text(self.currency.as_ref(), scope, findings),
            items,
            refund: flag(self.refund.as_ref(), scope, findings),
        })
    }
}

impl ItemsPlan {
    fn compile(compiler: &mut Compiler<'_>, spec: &ItemsSpec, key: &str, over: Option<Lines>) -> anyhow::Result<Self> {
        let lines = spec.over.as_deref().map(|name| compiler.columns.find_lines(name)).transpose()?;
        let inner = lines.or(over);
        Ok(Self {
            lines,
            product_id: compiler.option(spec.product_id.as_ref(), &format!("{key}.product_id"), inner)?,
            name: compiler.option(spec.name.as_ref(), &format!("{key}.name"), inner)?,
            quantity: compiler.option(spec.quantity.as_ref(), &format!("{key}.quantity"), inner)?,
            unit_price: compiler.option(spec.unit_price.as_ref(), &format!("{key}.unit_price"), inner)?,
            category: compiler.option(spec.category.as_ref(), &format!("{key}.category"), inner)?,
        })
    }

    fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Vec<pb::LineItem> {
        let scopes = self.lines.map_or_else(|| vec![*scope], |lines| scope.over(lines));
        scopes.iter().map(|scope| self.item(scope, findings)).collect()
    }

    fn item(&self, scope: &Scope<'_>, findings: &mut Findings) -> pb::LineItem {
        let quantity = self.quantity.as_ref().map_or(Some(1.0), |quantity| {
            let number = quantity.number(scope, findings);
            required(quantity, number, findings)
        });
        pb::LineItem {
            product_id: text(self.product_id.as_ref(), scope, findings),
            name: text(self.name.as_ref(), scope, findings),
            quantity: quantity.unwrap_or_default(),
            unit_price: number(self.unit_price.as_ref(), scope, findings),
            category: text(self.category.as_ref(), scope, findings),
        }
    }
}

/// What an item costs.
fn amount(item: &pb::LineItem) -> f64 {
    item.quantity * item.unit_price
}

/// Sums the items beyond the contract's limit up in the last one, so that quantity and amount stay true, and notes it.
fn sum_up(items: &mut Vec<pb::LineItem>, findings: &mut Findings) {
    if items.len() <= limits::LINE_ITEMS {
        return;
    }
    let rest: Vec<pb::LineItem> = items.drain(limits::LINE_ITEMS - 1..).collect();
    let quantity: f64 = rest.iter().map(|item| item.quantity).sum();
    let total: f64 = rest.iter().map(amount).sum();
    items.push(pb::LineItem {
        product_id: String::new(),
        name: format!("{} further items", rest.len()),
        quantity,
        unit_price: if quantity > 0.0 { total / quantity } else { 0.0 },
        category: String::new(),
    });
    findings.notes.items_summed_up += rest.len() as u64;
}
