//! stub
pub struct Registry;
impl Registry {
    pub fn get(&self, _key: &str) -> Option<std::sync::Arc<dyn super::types::ChatProvider>> {
        None
    }
}
