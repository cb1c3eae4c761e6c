//! Tells a story: story MODEL PROMPT
mod llama2;
use std::io::Write;

fn main() -> Result<(), llama2::Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    llama2::check_layout()?;
    let model = llama2::Model::load(&arguments[1])?;
    let tokens = model.tokenize(&arguments[2])?;
    print!("{}", arguments[2]);
    model.context(0)?.generate(&tokens, 201 - tokens.len(), |piece| {
        print!("{piece}");
        std::io::stdout().flush().is_ok()
    })?;
    println!();
    Ok(())
}
