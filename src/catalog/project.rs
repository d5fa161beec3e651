//! Catalogs whose names are resolved when they are used.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemorySchemaProvider, SchemaProvider,
    TableProvider,
};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::{CatalogEntry, LakeMemory, event_lake_of};
use crate::store::Stores;

tokio::task_local! {
    /// The views that are being planned, outermost first.
    static PLANNING: Vec<Name>;
}

/// Catalog, schema and name of an entry.
type Name = (String, String, String);

/// Catalogs, schemas and tables by name, resolved when they are used.
///
/// Entries can be replaced while queries run (a model commits a new version); a query that
/// is planned keeps what it saw.
#[derive(Debug, Clone, Default)]
pub struct ProjectCatalog {
    entries: Arc<RwLock<HashMap<Name, Slot>>>,
    stores: Stores,
    memory: LakeMemory,
}

/// An entry, and what it was opened as.
#[derive(Debug, Clone)]
struct Slot {
    entry: CatalogEntry,
    opened: Arc<OnceCell<Arc<dyn TableProvider>>>,
}

impl ProjectCatalog {
    /// An empty catalog that opens files through `stores`.
    pub fn new(stores: Stores) -> Self {
        Self {
            entries: Arc::default(),
            stores,
            memory: LakeMemory::default(),
        }
    }

    /// The same, remembering what its lakes hold.
    #[cfg(feature = "runner")]
    pub(crate) fn with_memory(mut self, memory: LakeMemory) -> Self {
        self.memory = memory;
        self
    }

    /// What is remembered of its lakes.
    #[cfg(feature = "runner")]
    pub(crate) fn memory(&self) -> &LakeMemory {
        &self.memory
    }

    /// Puts `entry` under `catalog.schema.name`, replacing what was there.
    pub fn insert(&self, catalog: &str, schema: &str, name: &str, entry: CatalogEntry) {
        let key = (catalog.to_owned(), schema.to_owned(), name.to_owned());
        let opened = Arc::default();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key, Slot { entry, opened });
    }

    /// Makes every entry visible in `context`; names without a catalog resolve in
    /// `default_catalog`: there a bare name finds the entry of that name in any schema if
    /// there is only one. Tables that the context already has, and other catalogs, stay.
    pub fn register(
        &self,
        context: &SessionContext,
        default_catalog: &str,
    ) -> Result<()> {
        let state = context.state();
        let options = &state.config_options().catalog;
        let default_schema = options.default_schema.clone();
        let own = state
            .catalog_list()
            .catalog(&options.default_catalog)
            .and_then(|catalog| catalog.schema(&default_schema));
        let weak = context.state_weak_ref();
        let list = ProjectList {
            others: Arc::clone(state.catalog_list()),
            view: View {
                project: self.clone(),
                default: (default_catalog.to_owned(), default_schema),
                own: own.unwrap_or_else(|| Arc::new(MemorySchemaProvider::new())),
                state: Arc::new(move || weak.upgrade().map(|s| s.read().clone())),
            },
        };
        context.register_catalog_list(Arc::new(list));
        let state = context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        default_catalog.clone_into(&mut options.catalog.default_catalog);
        Ok(())
    }

    fn names(&self) -> Vec<Name> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = entries.keys().cloned().collect();
        names.sort();
        names
    }

    fn slot(&self, name: &Name) -> Option<Slot> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).cloned()
    }
}

/// A project's names as one context sees them.
#[derive(Clone)]
struct View {
    project: ProjectCatalog,
    /// Default catalog and schema.
    default: (String, String),
    /// Tables that are registered on the context itself.
    own: Arc<dyn SchemaProvider>,
    state: Arc<dyn Fn() -> Option<SessionState> + Send + Sync>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").field(&self.default).finish()
    }
}

impl View {
    async fn open(&self, name: &Name, slot: Slot) -> Result<Arc<dyn TableProvider>> {
        match slot.entry {
            CatalogEntry::Table(table) => Ok(table),
            CatalogEntry::Unavailable(reason) => plan_err!("{reason}"),
            CatalogEntry::View(sql) => self.plan(name, sql).await,
            CatalogEntry::Lake(options) => {
                let context = SessionContext::from(self.session()?);
                let (stores, memory) = (&self.project.stores, &self.project.memory);
                let open = || event_lake_of(&context, stores, options, memory);
                slot.opened.get_or_try_init(open).await.cloned()
            }
            #[cfg(feature = "runner")]
            CatalogEntry::Committed(table) => {
                let open = || async move {
                    let version = table.open().await;
                    let version = version.map_err(|e| {
                        DataFusionError::External(Box::new(e))
                            .context(format!("cannot read `{}.{}`", name.1, name.2))
                    })?;
                    match version {
                        Some(version) => {
                            let table = super::committed(table.stores(), &version)?;
                            Ok(Arc::new(table) as Arc<dyn TableProvider>)
                        }
                        None => plan_err!(
                            "`{}.{}` has not been built yet: there is no table at `{}`",
                            name.1,
                            name.2,
                            table.url()
                        ),
                    }
                };
                slot.opened.get_or_try_init(open).await.cloned()
            }
        }
    }

    async fn plan(&self, name: &Name, sql: String) -> Result<Arc<dyn TableProvider>> {
        let mut stack = PLANNING.try_with(Clone::clone).unwrap_or_default();
        if let Some(start) = stack.iter().position(|n| n == name) {
            let path = stack[start..].iter().chain([name]);
            let path: Vec<_> = path.map(|n| format!("`{}.{}`", n.1, n.2)).collect();
            return plan_err!("views that read each other: {}", path.join(" -> "));
        }
        stack.push(name.clone());
        let state = self.session()?;
        let plan = PLANNING.scope(stack, async {
            let dialect = state.config_options().sql_parser.dialect;
            let mut statement = state.sql_to_statement(&sql, &dialect)?;
            crate::functions::resolve_named_arguments(&mut statement)?;
            state.statement_to_plan(statement).await
        });
        let plan = Box::pin(plan).await.map_err(|e| {
            e.context(format!("cannot plan the view `{}.{}`", name.1, name.2))
        })?;
        Ok(Arc::new(ViewTable::new(plan, Some(sql))))
    }

    fn session(&self) -> Result<SessionState> {
        (self.state)()
            .ok_or_else(|| DataFusionError::Internal("the session has ended".to_owned()))
    }

    /// The entry that a name in the default schema means.
    fn bare(&self, schema: &str, table: &str) -> Result<Option<Name>> {
        let (catalog, _) = &self.default;
        let exact = (catalog.clone(), schema.to_owned(), table.to_owned());
        if self.project.slot(&exact).is_some() {
            return Ok(Some(exact));
        }
        let names = self.project.names().into_iter();
        let mut found = names.filter(|n| &n.0 == catalog && n.2 == table);
        match (found.next(), found.next()) {
            (Some(a), Some(b)) => plan_err!(
                "`{table}` is ambiguous: it may be `{}.{}` or `{}.{}`",
                a.1,
                a.2,
                b.1,
                b.2
            ),
            (found, _) => Ok(found),
        }
    }
}

#[derive(Debug)]
struct ProjectList {
    others: Arc<dyn CatalogProviderList>,
    view: View,
}

impl ProjectList {
    fn is_ours(&self, name: &str) -> bool {
        let names = self.view.project.names();
        name == self.view.default.0 || names.iter().any(|n| n.0 == name)
    }
}

impl CatalogProviderList for ProjectList {
    fn register_catalog(
        &self,
        name: String,
        catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        self.others.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        let ours = self.view.project.names().into_iter().map(|n| n.0);
        let mut names: BTreeSet<_> = ours.collect();
        names.extend(self.others.catalog_names());
        names.insert(self.view.default.0.clone());
        names.into_iter().collect()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        if !self.is_ours(name) {
            return self.others.catalog(name);
        }
        Some(Arc::new(OneCatalog {
            view: self.view.clone(),
            catalog: name.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct OneCatalog {
    view: View,
    catalog: String,
}

impl CatalogProvider for OneCatalog {
    fn schema_names(&self) -> Vec<String> {
        let names = self.view.project.names().into_iter();
        let ours = names.filter(|n| n.0 == self.catalog).map(|n| n.1);
        let mut names: BTreeSet<_> = ours.collect();
        let (catalog, schema) = &self.view.default;
        if catalog == &self.catalog && !self.view.own.table_names().is_empty() {
            names.insert(schema.clone());
        }
        names.into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let (catalog, schema) = &self.view.default;
        let default = catalog == &self.catalog && schema == name;
        if !default && !self.schema_names().iter().any(|n| n == name) {
            return None;
        }
        Some(Arc::new(OneSchema {
            view: self.view.clone(),
            catalog: self.catalog.clone(),
            schema: name.to_owned(),
            default,
        }))
    }
}

#[derive(Debug)]
struct OneSchema {
    view: View,
    catalog: String,
    schema: String,
    /// Names without a schema arrive here.
    default: bool,
}

impl OneSchema {
    fn find(&self, table: &str) -> Result<Option<(Name, Slot)>> {
        let name = if self.default {
            self.view.bare(&self.schema, table)?
        } else {
            let table = table.to_owned();
            Some((self.catalog.clone(), self.schema.clone(), table))
        };
        Ok(name.and_then(|n| self.view.project.slot(&n).map(|slot| (n, slot))))
    }
}

impl OneSchema {
    /// Boxed here and not by `async_trait`, under which the compiler proves for seconds
    /// that all of it can be sent.
    fn opened<'a>(
        &'a self,
        table: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn TableProvider>>>> {
        Box::pin(async move {
            if self.default && self.view.own.table_exist(table) {
                return self.view.own.table(table).await;
            }
            match self.find(table)? {
                Some((name, slot)) => self.view.open(&name, slot).await.map(Some),
                None => Ok(None),
            }
        })
    }
}

#[async_trait]
impl SchemaProvider for OneSchema {
    fn table_names(&self) -> Vec<String> {
        let names = self.view.project.names().into_iter();
        let ours = names.filter(|n| n.0 == self.catalog && n.1 == self.schema);
        let mut names: BTreeSet<_> = ours.map(|n| n.2).collect();
        if self.default {
            names.extend(self.view.own.table_names());
        }
        names.into_iter().collect()
    }

    async fn table(&self, table: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.opened(table).await
    }

    async fn table_type(&self, table: &str) -> Result<Option<TableType>> {
        if self.default && self.view.own.table_exist(table) {
            return self.view.own.table_type(table).await;
        }
        let found = self.find(table)?;
        Ok(found.map(|(_, slot)| match slot.entry {
            CatalogEntry::View(_) => TableType::View,
            CatalogEntry::Table(table) => table.table_type(),
            _ => TableType::Base,
        }))
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.default {
            return self.view.own.register_table(name, table);
        }
        plan_err!("tables cannot be added to the schema `{}`", self.schema)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.default {
            return self.view.own.deregister_table(name);
        }
        plan_err!("tables cannot be removed from the schema `{}`", self.schema)
    }

    fn table_exist(&self, name: &str) -> bool {
        let own = self.default && self.view.own.table_exist(name);
        own || matches!(self.find(name), Ok(Some(_)))
    }
}
